from ...registry import MODELS
from .base import MaskedImageModel


@MODELS.register_module()
class FastMIM(MaskedImageModel):
    """FastMIM: low-resolution images, masked on the image, and HOG targets (arXiv 2212.06593).

    The encoder is any unmodified backbone. Arguments are those of :class:`MaskedImageModel`.
    """
