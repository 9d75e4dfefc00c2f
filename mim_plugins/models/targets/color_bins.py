from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from .base import ClassTarget

# Intensities come back from the normalisation a rounding error below the whole number they were. This share
# of the range lifts them over it, and is less than the step between averages of 32 x 32 8-bit pixels.
_NUDGE = 2.**-19


@MODELS.register_module()
class ColorBinTarget(ClassTarget):
    """The bin of each channel's intensity, for 8 or 256 bins per channel (SimMIM, arXiv 2111.09886, section 3.4).

    Map [B, in_channels, H / downsample, W / downsample] of classes 0..bins-1, in bins of equal width.

    Args:
        bins: Bins per channel.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise.
        value_range: Lowest intensity and the end of the highest bin, before the normalisation; what lies
            outside falls into the outermost bins.
        in_channels: Channels of the images.
        **options: ``downsample``, ``layout`` and ``stride`` of :class:`ClassTarget`.

    Raises:
        InputError: Fewer than two bins, or an empty range.
    """

    def __init__(self, bins: int, mean: Sequence[float], std: Sequence[float],
                 value_range: tuple[float, float] = (0., 256.), in_channels: int = 3, **options: Any) -> None:
        if bins < 2:
            raise InputError(f'colours need at least 2 bins per channel, but got {bins}')
        if not value_range[0] < value_range[1]:
            raise InputError(f'value_range must be a lower and a higher intensity, but is {tuple(value_range)}')
        super().__init__(bins, mean, std, in_channels, groups=in_channels, **options)
        self.bins = bins
        self.low, self.high = value_range

    def make(self, images: Tensor) -> Tensor:
        shares = (self.intensities(images) - self.low) / (self.high - self.low)
        return ((shares + _NUDGE) * self.bins).floor().clamp(0, self.bins - 1).long()

    def to_images(self, values: Tensor, images: Tensor) -> Tensor:
        shares = (self.likeliest(values) + 0.5) / self.bins
        return self.normalize(self.low + shares * (self.high - self.low))
