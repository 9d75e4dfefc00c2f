from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ...ops import divide, normalize_patches
from ...ops.colors import restore_patches
from ...registry import MODELS
from .base import MapTarget


@MODELS.register_module()
class PixelTarget(MapTarget):
    """The normalised pixels themselves, or normalised once more within each patch.

    Map [B, in_channels, H / downsample, W / downsample]; a token's vector is ordered (row, column, channel).

    Args:
        norm_patch: Side in image pixels of the patches that are normalised to zero mean and unit variance
            (MAE, arXiv 2111.06377, section 3); None leaves the pixels as they are.
        in_channels: Channels of the images.
        downsample: Side in pixels of the squares that are averaged first (SimMIM, arXiv 2111.09886, section
            3.4).
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: A normalised patch does not hold whole averaged squares, or only one value.
    """
    channels_last = True
    differentiable = True

    def __init__(self, norm_patch: int | None = None, in_channels: int = 3, downsample: int = 1,
                 **layout: Any) -> None:
        super().__init__(channels=in_channels, map_stride=downsample, **layout)
        if norm_patch is not None:
            if norm_patch < 1 or norm_patch % downsample:
                raise InputError(f'normalised patches must be a multiple of downsample={downsample} px, '
                                 f'but norm_patch is {norm_patch}')
            if norm_patch == downsample and in_channels == 1:
                raise InputError(f'normalised patches need more than one value, but one of {norm_patch} px has '
                                 f'a single one with downsample={downsample} and one channel')
        self.norm_patch = norm_patch

    def check_input_size(self, size: tuple[int, int]) -> None:
        super().check_input_size(size)
        if self.norm_patch:
            divide(size, self.norm_patch, 'normalised patches')

    def make(self, images: Tensor) -> Tensor:
        pixels = self._average(images)
        return normalize_patches(pixels, self.norm_patch // self.map_stride) if self.norm_patch else pixels

    def to_images(self, values: Tensor, images: Tensor) -> Tensor:
        if not self.norm_patch:
            return values
        return restore_patches(values.float(), self._average(images.float()), self.norm_patch // self.map_stride)

    def _average(self, images: Tensor) -> Tensor:
        return images if self.map_stride == 1 else F.avg_pool2d(images, self.map_stride)
