from typing import Any

from torch import Tensor

from ...ops import hog
from ...registry import MODELS
from .base import MapTarget


@MODELS.register_module()
class HOGTarget(MapTarget):
    """Histograms of oriented gradients (FastMIM, arXiv 2212.06593).

    Map [B, in_channels * bins, H / cell, W / cell] with channel = c * bins + bin; a token's vector is
    ordered (channel, row, column).

    Args:
        bins: Orientations over half a turn.
        cell: Side of a cell in pixels.
        normalize: L2 norm over the bins of each cell and channel; flat cells stay 0.
        in_channels: Channels of the images.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.
    """

    def __init__(self, bins: int = 9, cell: int = 8, normalize: bool = True, in_channels: int = 3,
                 **layout: Any) -> None:
        super().__init__(channels=in_channels * bins, map_stride=cell, **layout)
        self.bins = bins
        self.cell = cell
        self.normalize = normalize

    def make(self, images: Tensor) -> Tensor:
        return hog(images, self.bins, self.cell, self.normalize)
