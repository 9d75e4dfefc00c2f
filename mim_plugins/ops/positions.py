"""Position tables: made for a grid, or resized from one grid to another."""
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError


def sin_cos_position_embedding(grid: tuple[int, int], width: int, num_extra_tokens: int = 0,
                               columns_first: bool = False) -> Tensor:
    """Fixed 2-D sine-cosine position embedding for a grid of tokens read row by row.

    One half of the channels encodes the row, the other the column.

    Args:
        grid: Tokens in height and width.
        width: Channels, divisible by 4.
        num_extra_tokens: Leading tokens such as cls, whose embedding is 0.
        columns_first: The column's half comes first, as in MAE's released weights, instead of the row's.

    Returns:
        Float32 [1, num_extra_tokens + N, width].
    """
    frequencies = 10000.**-torch.arange(0, 1, 4 / width, dtype=torch.float64)[:width // 4]
    waves = []
    for side in grid:
        angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
        waves.append(torch.cat([angles.sin(), angles.cos()], dim=1))
    halves = [waves[0].repeat_interleave(grid[1], 0), waves[1].repeat(grid[0], 1)]
    table = torch.cat(halves[::-1] if columns_first else halves, dim=1).float()
    return F.pad(table[None], (0, 0, num_extra_tokens, 0))


def columns_come_first(table: Tensor, num_extra_tokens: int = 0) -> bool:
    """Whether the first half of a fixed embedding encodes the column: it then differs within a row.

    Args:
        table: [1, num_extra_tokens + N, C] of a grid of at least two columns.
        num_extra_tokens: Leading tokens such as cls.

    Raises:
        InputError: Both halves differ within a row: this is no fixed embedding.
    """
    first, second = table[0, num_extra_tokens:num_extra_tokens + 2].float().unflatten(-1, (2, -1))
    same = [torch.allclose(*halves, atol=1e-3) for halves in zip(first, second, strict=True)]
    if same[0] == same[1]:
        raise InputError('a sine-cosine position embedding was expected, but this one is learned or of another kind')
    return same[1]


def token_grid(size: tuple[int, int], patch: tuple[int, int]) -> tuple[int, int]:
    """Tokens in height and width that a patch embedding makes of images of ``size``, a last part of a patch padded."""
    return -(-size[0] // patch[0]), -(-size[1] // patch[1])


def square_grid(places: int) -> tuple[int, int]:
    """Grid of so many places, when nothing but their number is known.

    Raises:
        InputError: They make no square.
    """
    side = isqrt(places)
    if side**2 != places:
        raise InputError(f'a position table of {places} places is not one of a square grid')
    return side, side


def relative_position_index(window: tuple[int, int], with_cls: bool = False,
                            device: torch.device | str | None = None) -> Tensor:
    """Row of a relative-position table for each pair of tokens in a window.

    Args:
        window: Tokens in height and width.
        with_cls: A cls token comes first; its rows are BEiT's (arXiv 2106.08254), behind those of the places: from
            cls, to cls, cls to itself.
        device: Where to make it.

    Returns:
        Int64 [N, N] with N = h * w, one more for cls; tokens row by row, the first axis is the query.
    """
    height, width = window
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    row_offset = rows[:, None] - rows + height - 1
    column_offset = columns[:, None] - columns + width - 1
    index = row_offset * (2 * width - 1) + column_offset
    if with_cls:
        places = (2 * height - 1) * (2 * width - 1)
        index = F.pad(index, (1, 0, 1, 0))
        index[0], index[:, 0], index[0, 0] = places, places + 1, places + 2
    return index


def _resize(table: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resize of [h, w, C], in float32."""
    resized = F.interpolate(table.permute(2, 0, 1)[None].float(), size, mode='bicubic', align_corners=False)
    return resized[0].permute(1, 2, 0).to(table.dtype)


def resize_position_table(table: Tensor, from_window: tuple[int, int], to_window: tuple[int, int],
                          num_extra: int = 0) -> Tensor:
    """Bicubic resize of a relative-position table; the table itself for an equal window.

    Args:
        table: [(2h - 1) * (2w - 1) + num_extra, heads] for ``from_window`` = (h, w).
        from_window: Tokens in height and width that the table was made for.
        to_window: Those it shall serve.
        num_extra: Trailing rows that stay as they are (BEiT's three for the cls token).

    Returns:
        [(2h' - 1) * (2w' - 1) + num_extra, heads].

    Raises:
        InputError: The table does not have the rows of ``from_window``.
    """
    shape = 2 * from_window[0] - 1, 2 * from_window[1] - 1
    if len(table) != shape[0] * shape[1] + num_extra:
        raise InputError(f'a relative-position table of {len(table)} rows is not one of a window of '
                         f'{from_window[0]}x{from_window[1]} with {num_extra} extra rows')
    if tuple(from_window) == tuple(to_window):
        return table
    places, extra = table[:shape[0] * shape[1]], table[shape[0] * shape[1]:]
    resized = _resize(places.unflatten(0, shape), (2 * to_window[0] - 1, 2 * to_window[1] - 1))
    return torch.cat([resized.flatten(0, 1), extra])


def resize_position_embedding(embedding: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int],
                              num_extra_tokens: int = 0) -> Tensor:
    """Bicubic resize of a position embedding; the embedding itself for an equal grid.

    Args:
        embedding: [1, num_extra_tokens + h * w, C] for ``from_grid`` = (h, w).
        from_grid: Tokens in height and width that it was made for.
        to_grid: Those it shall serve.
        num_extra_tokens: Leading tokens that stay as they are (cls: 1).

    Returns:
        [1, num_extra_tokens + h' * w', C].

    Raises:
        InputError: The embedding does not have the tokens of ``from_grid``.
    """
    if embedding.shape[1] != from_grid[0] * from_grid[1] + num_extra_tokens:
        raise InputError(f'a position embedding of {embedding.shape[1]} tokens is not one of a grid of '
                         f'{from_grid[0]}x{from_grid[1]} with {num_extra_tokens} extra tokens')
    if tuple(from_grid) == tuple(to_grid):
        return embedding
    extra, places = embedding[:, :num_extra_tokens], embedding[0, num_extra_tokens:]
    resized = _resize(places.unflatten(0, tuple(from_grid)), tuple(to_grid))
    return torch.cat([extra, resized.flatten(0, 1)[None]], dim=1)


def resize_pair_bias(bias: Tensor, from_grids: tuple[tuple[int, int], tuple[int, int]],
                     to_grids: tuple[tuple[int, int], tuple[int, int]]) -> Tensor:
    """Bicubic resize of a bias with one value for each query and key; the bias itself for equal grids.

    Args:
        bias: [heads, N, M] with N = h * w queries and M = h' * w' keys.
        from_grids: Grids (h, w) of queries and of keys that it was made for.
        to_grids: Those it shall serve.

    Returns:
        [heads, N, M] for ``to_grids``.
    """
    if from_grids == to_grids:
        return bias
    heads, keys = len(bias), bias.shape[2]
    maps = bias.transpose(1, 2).reshape(heads * keys, 1, *from_grids[0]).float()
    maps = F.interpolate(maps, to_grids[0], mode='bicubic', align_corners=False)
    maps = maps.view(heads, keys, -1).transpose(1, 2).reshape(-1, 1, *from_grids[1])  # one key map per query
    maps = F.interpolate(maps, to_grids[1], mode='bicubic', align_corners=False)
    return maps.view(heads, to_grids[0][0] * to_grids[0][1], -1).to(bias.dtype)
