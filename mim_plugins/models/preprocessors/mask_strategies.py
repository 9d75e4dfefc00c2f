"""Mask strategies: callables that draw a batch of masks for an image size."""
import torch
from torch import Tensor

from ...errors import InputError
from ...ops import divide, mask_count, random_masks
from ...ops.masks import Rounding
from ...registry import TASK_UTILS


@TASK_UTILS.register_module()
class RandomMasks:
    """Uniformly random square units, the same number in every sample.

    Args:
        unit: Side of a masked unit in pixels.
        ratio: Share of the units to mask, in (0, 1).
        rounding: How the count is rounded, see :func:`mim_plugins.ops.mask_count`.
    """

    def __init__(self, unit: int, ratio: float, rounding: Rounding = 'floor_keep') -> None:
        if unit < 1:
            raise InputError(f'the mask unit must be at least 1 px, but is {unit}')
        self.unit = unit
        self.ratio = ratio
        self.rounding = rounding
        mask_count(units=10**6, ratio=ratio, rounding=rounding)  # refuses bad options before any data

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Units in height and width for images of ``size`` (H, W).

        Raises:
            InputError: The unit does not divide the size, or the ratio masks nothing or all.
        """
        grid = divide(size, self.unit, 'mask units')
        mask_count(grid[0] * grid[1], self.ratio, self.rounding)
        return grid

    def __call__(self, batch: int, size: tuple[int, int], generator: torch.Generator,
                 device: torch.device) -> Tensor:
        """Draw bool masks [batch, H / unit, W / unit] for images of ``size``; True = masked."""
        return random_masks(batch, self.grid(size), self.ratio, self.rounding, generator, device)
