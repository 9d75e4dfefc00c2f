from torch import Tensor

from ...registry import MODELS
from .base import MaskedImageModel


@MODELS.register_module()
class FastMIM(MaskedImageModel):
    """FastMIM: low-resolution images, masked on the image, and HOG targets (arXiv 2212.06593).

    The encoder is any unmodified backbone. Arguments are those of :class:`MaskedImageModel`.
    """

    def predict(self, corrupted: Tensor) -> Tensor:
        """Decode corrupted images [B, C, H, W] into tokens [B, D, H / stride, W / stride]."""
        return self.neck(self.backbone(corrupted), tuple(corrupted.shape[-2:]))

    def loss(self, inputs: Tensor, mask: Tensor) -> dict[str, Tensor]:
        target = self.target_generator(inputs)
        prediction = self.predict(self.fill(inputs, mask))
        return dict(loss=self.head.loss(prediction, target, mask))

    def reconstruct(self, inputs: Tensor, mask: Tensor) -> dict[str, Tensor]:
        target, corrupted = self.target_generator(inputs), self.fill(inputs, mask)
        prediction = self.head.lay_out(self.predict(corrupted), tuple(target.shape[-2:]))
        return dict(corrupted=corrupted, prediction=prediction, target=target, mask=mask)
