from ...registry import MODELS
from .base import MaskedImageModel


@MODELS.register_module()
class SimMIM(MaskedImageModel):
    """SimMIM: large masked units, one learnable token behind the patch embedding, pixels (arXiv 2111.09886).

    Arguments are those of :class:`MaskedImageModel`; the fill is usually :class:`PatchTokenFill`.
    """
