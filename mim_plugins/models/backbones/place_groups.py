"""Which of two images each place of a map belongs to."""
import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops import resize_mask


class PlaceGroups:
    """Which of the two images each place of a map belongs to, at any resolution.

    Args:
        units: Bool [B, h, w], True = the partner's. None: there is one image only.
    """

    def __init__(self, units: Tensor | None = None) -> None:
        self.set(units)

    def set(self, units: Tensor | None) -> None:
        """Take other units, until further notice."""
        self.units = units
        self._known: dict[tuple, Tensor] = {}

    def at(self, size: tuple[int, int]) -> Tensor:
        """Bool [B, 1, H, W] for maps of ``size`` (H, W), True = the partner's; an InputError if units do not fit."""
        if size not in self._known:
            self._known[size] = resize_mask(self.units, size).unsqueeze(1)
        return self._known[size]

    def shares(self, size: tuple[int, int], windows: tuple[tuple[int, int], ...]) -> Tensor:
        """Share in (0, 1] of a window's places that is of its own group, float32 [B, 1, H / stride, W / stride].

        Args:
            size: (H, W) of the map.
            windows: Kernel, stride and padding in height and width.
        """
        key = size, *windows
        if key not in self._known:
            partner = self.at(size)
            own, partners = F.avg_pool2d(
                torch.cat([~partner, partner]).float(), *windows, count_include_pad=False).chunk(2)
            self._known[key] = torch.where(self.at(tuple(own.shape[-2:])), partners, own)
        return self._known[key]
