from typing import Any

from torch import Tensor

from ...ops import divide, normalize_patches
from ...registry import MODELS
from .base import MapTarget


@MODELS.register_module()
class PixelTarget(MapTarget):
    """The normalised pixels themselves, or normalised once more within each patch.

    Map [B, in_channels, H, W]; a token's vector is ordered (row, column, channel).

    Args:
        norm_patch: Side in pixels of the patches that are normalised to zero mean and unit variance
            (MAE, arXiv 2111.06377, section 3); None leaves the pixels as they are.
        in_channels: Channels of the images.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.
    """
    channels_last = True

    def __init__(self, norm_patch: int | None = None, in_channels: int = 3, **layout: Any) -> None:
        super().__init__(channels=in_channels, map_stride=1, **layout)
        self.norm_patch = norm_patch

    def check_input_size(self, size: tuple[int, int]) -> None:
        super().check_input_size(size)
        if self.norm_patch:
            divide(size, self.norm_patch, 'normalised patches')

    def make(self, images: Tensor) -> Tensor:
        return normalize_patches(images, self.norm_patch) if self.norm_patch else images
