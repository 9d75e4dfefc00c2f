"""Masks on a grid of units. Polarity is one everywhere: True (1) = masked."""
import math
from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError

Rounding = Literal['floor_keep', 'ceil_masked', 'floor_masked']

# 25 units at ratio .8 keep 5, where float arithmetic says 4.99...
_EPS = 1e-9


def mask_count(units: int, ratio: float, rounding: Rounding = 'floor_keep') -> int:
    """Number of masked units.

    Args:
        units: Units on the grid, at least 2.
        ratio: Share to mask, in (0, 1).
        rounding: ``'floor_keep'`` keeps floor(units * (1 - ratio)) units, at least one (FastMIM, MAE);
            ``'ceil_masked'`` masks ceil(units * ratio) (SimMIM); ``'floor_masked'`` masks
            floor(units * ratio) (MixMIM).

    Raises:
        InputError: Unknown rounding, a ratio outside (0, 1), or a count that masks nothing or all.
    """
    if not 0 < ratio < 1:
        raise InputError(f'the mask ratio must lie between 0 and 1, both excluded, but is {ratio}')
    if rounding == 'floor_keep':
        masked = units - max(1, math.floor(units * (1 - ratio) + _EPS))
    elif rounding == 'ceil_masked':
        masked = math.ceil(units * ratio - _EPS)
    elif rounding == 'floor_masked':
        masked = math.floor(units * ratio + _EPS)
    else:
        raise InputError("the mask rounding must be 'floor_keep', 'ceil_masked' or 'floor_masked', "
                         f'but is {rounding!r}')
    if not 0 < masked < units:
        raise InputError(f'a mask ratio of {ratio} masks {masked} of {units} units; at least one must be '
                         'masked and one visible: use a smaller mask unit or another ratio')
    return masked


def random_masks(batch: int,
                 grid: tuple[int, int],
                 ratio: float,
                 rounding: Rounding = 'floor_keep',
                 generator: torch.Generator | None = None,
                 device: torch.device | str | None = None) -> Tensor:
    """Uniformly random masks with the same number of masked units in every sample.

    Args:
        batch: Number of masks.
        grid: Units in height and width.
        ratio: Share to mask, in (0, 1).
        rounding: See :func:`mask_count`.
        generator: Source of randomness, on ``device``.
        device: Where the masks are drawn.

    Returns:
        Bool [batch, *grid], True = masked.
    """
    units = grid[0] * grid[1]
    masked = mask_count(units, ratio, rounding)
    noise = torch.rand(batch, units, generator=generator, device=device)
    masks = torch.zeros(batch, units, dtype=torch.bool, device=device)
    masks.scatter_(1, noise.argsort(dim=1)[:, :masked], True)
    return masks.view(batch, *grid)


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat every unit of a mask so that it covers a finer grid.

    Args:
        mask: [B, h, w].
        size: Finer grid (H, W); multiples of (h, w).

    Returns:
        [B, H, W], same dtype.

    Raises:
        InputError: The finer grid is not a multiple of the mask's.
    """
    height, width = mask.shape[-2:]
    if size[0] % height or size[1] % width:
        raise InputError(f'a mask of {height}x{width} units cannot be laid on a grid of '
                         f'{size[0]}x{size[1]}: each side must be a multiple')
    return mask.repeat_interleave(size[0] // height, 1).repeat_interleave(size[1] // width, 2)
