"""Masks on a grid of units. Polarity is one everywhere: True (1) = masked."""
import math
from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError

Rounding = Literal['floor_keep', 'ceil_masked', 'floor_masked']

# 25 units at ratio .8 keep 5, where float arithmetic says 4.99...
_EPS = 1e-9

# Rectangles per block mask, and how the largest possible area goes down from each to the next: enough for grids
# up to 48x48 at ratio .75. On 14x14 AvgDist is 8 to 14 % above that of BEiT's own procedure at ratios .4 and .6.
_BLOCKS = 32
_SHRINKING = 0.9


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
    masked = mask_count(grid[0] * grid[1], ratio, rounding)
    noise = torch.rand(batch, grid[0] * grid[1], generator=generator, device=device)
    return _mask_lowest(noise, masked).view(batch, *grid)


def _mask_lowest(scores: Tensor, count: int) -> Tensor:
    """Mask the ``count`` units with the lowest scores [B, units] of each sample."""
    masks = torch.zeros_like(scores, dtype=torch.bool)
    return masks.scatter_(1, scores.argsort(dim=1)[:, :count], True)


def _unit_places(grid: tuple[int, int], device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    """Row [h, 1] and column [w] of every unit."""
    return torch.arange(grid[0], device=device).view(-1, 1), torch.arange(grid[1], device=device)


def block_masks(batch: int,
                grid: tuple[int, int],
                ratio: float,
                rounding: Rounding = 'floor_keep',
                generator: torch.Generator | None = None,
                device: torch.device | str | None = None,
                min_block: int = 16,
                min_aspect: float = 0.3) -> Tensor:
    """Block-wise masks (BEiT, arXiv 2106.08254, algorithm 1) with the same count in every sample.

    Rectangles are laid over each other until enough units are masked; the last one is cut down evenly towards
    its own centre. BEiT draws one after the other, the largest area being what is still missing. Here a fixed
    number is drawn at once, the largest area shrinking geometrically, so that the device never waits for the
    host; should all of them not suffice, single units are drawn.

    Args:
        batch: Number of masks.
        grid: Units in height and width.
        ratio: Share to mask, in (0, 1).
        rounding: See :func:`mask_count`.
        generator: Source of randomness, on ``device``.
        device: Where the masks are drawn.
        min_block: Smallest area of a rectangle in units, at least 1, before it is cut.
        min_aspect: Height / width of a rectangle is log-uniform between this and its inverse, in (0, 1];
            rounding and narrow grids may exceed it.

    Returns:
        Bool [batch, *grid], True = masked.

    Raises:
        InputError: A smallest block or aspect out of its range, or see :func:`mask_count`.
    """
    if min_block < 1:
        raise InputError(f'the smallest block must have at least 1 unit, but has {min_block}')
    if not 0 < min_aspect <= 1:
        raise InputError(f'the smallest aspect ratio of a block must lie in (0, 1], but is {min_aspect}')
    height, width = grid
    masked = mask_count(height * width, ratio, rounding)
    smallest = min(min_block, masked)
    # Per block, each [blocks, batch, 1, 1].
    size, shape, down, right = torch.rand(4, _BLOCKS, batch, 1, 1, generator=generator, device=device)
    block = torch.arange(_BLOCKS, device=device).view(-1, 1, 1, 1)
    largest = (masked * _SHRINKING**block).clamp(min=smallest)
    area = (smallest + size * (largest - smallest)).floor()
    rows = (area * min_aspect**(2 * shape - 1)).sqrt().round()
    rows = rows.maximum((area / width).ceil()).minimum(area.clamp(max=height))
    columns = (area / rows).ceil()
    top, left = ((height - rows + 1) * down).floor(), ((width - columns + 1) * right).floor()
    y, x = _unit_places(grid, device)
    # Distance from the block's centre as a share of its sides: below 1/2 inside.
    distance = torch.maximum((y - top - (rows - 1) / 2).abs() / rows, (x - left - (columns - 1) / 2).abs() / columns)
    single = _BLOCKS + torch.rand(batch, height, width, generator=generator, device=device)
    order = torch.where(distance < 0.5, block + distance, single).amin(0)
    return _mask_lowest(order.flatten(1), masked).view_as(order)


def square_masks(batch: int,
                 grid: tuple[int, int],
                 ratio: float,
                 rounding: Rounding = 'floor_keep',
                 generator: torch.Generator | None = None,
                 device: torch.device | str | None = None,
                 center: tuple[float, float] | Literal['random'] = (0.5, 0.5)) -> Tensor:
    """One square region per mask (SimMIM, arXiv 2111.09886, section 3.2), with the same count in every sample.

    Where the count is no square number, the region is the squarest box that holds it with the end of the last
    row left out; on a grid too narrow for it the box is as wide or as high as the grid.

    Args:
        batch: Number of masks.
        grid: Units in height and width.
        ratio: Share to mask, in (0, 1).
        rounding: See :func:`mask_count`.
        generator: Source of randomness, on ``device``; a fixed centre draws nothing.
        device: Where the masks are made.
        center: The region's centre as a share of (height, width), each in [0, 1], moved as little as keeps the
            region inside; ``'random'`` takes for each sample any place inside with equal chance.

    Returns:
        Bool [batch, *grid], True = masked.

    Raises:
        InputError: A centre outside the image, or see :func:`mask_count`.
    """
    masked = mask_count(grid[0] * grid[1], ratio, rounding)
    columns = min(grid[1], max(math.isqrt(masked - 1) + 1, math.ceil(masked / grid[0])))
    rows = math.ceil(masked / columns)
    room = (grid[0] - rows, grid[1] - columns)
    if center == 'random':
        draws = torch.rand(2, batch, 1, 1, generator=generator, device=device)
        top, left = (((free + 1) * draw).floor() for free, draw in zip(room, draws.unbind()))
    elif isinstance(center, str) or len(center) != 2 or not all(0 <= share <= 1 for share in center):
        raise InputError("the centre of square masks must be 'random' or two shares of height and width in [0, 1], "
                         f'but is {center!r}')
    else:
        corner = (share * side - box / 2 for share, side, box in zip(center, grid, (rows, columns)))
        top, left = (min(max(math.floor(place + _EPS), 0), free) for place, free in zip(corner, room))
    y, x = _unit_places(grid, device)
    y, x = y - top, x - left
    inside = (y >= 0) & (x >= 0) & (x < columns) & (y * columns + x < masked)
    return inside.expand(batch, *grid).contiguous()


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


def visible_count(mask: Tensor, grid: tuple[int, int]) -> int:
    """Number of visible tokens of each sample, for which a GPU has to be waited for.

    Args:
        mask: Bool [B, h, w] with h, w dividing the grid, True = masked.
        grid: Tokens in height and width.

    Raises:
        InputError: The masks differ in their number of visible tokens, or leave none.
    """
    masked = resize_mask(mask, grid).flatten(1)
    counts = (~masked).sum(1)
    number = int(counts[0])
    if number == 0 or not torch.all(counts == number):
        raise InputError('masks must leave as many tokens visible in every sample, and at least one, but leave '
                         f'between {int(counts.min())} and {int(counts.max())} of {masked.shape[1]} tokens visible')
    return number


def visible_places(mask: Tensor, grid: tuple[int, int], number: int | None = None) -> Tensor:
    """Where the visible tokens of each sample are.

    Args:
        mask: Bool [B, h, w] with h, w dividing the grid, True = masked.
        grid: Tokens in height and width.
        number: Visible tokens K of each sample where that is known; None counts them.

    Returns:
        Int64 [B, K]: places on the grid read row by row, in order.

    Raises:
        InputError: See :func:`visible_count`, where they are counted.
    """
    number = visible_count(mask, grid) if number is None else number
    masked = resize_mask(mask, grid).flatten(1)
    return masked.to(torch.uint8).argsort(dim=1, stable=True)[:, :number]
