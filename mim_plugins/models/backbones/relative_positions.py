"""What attention learns of the offset between two tokens, at any size of the grid."""
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from ...ops import relative_position_index, resize_position_table
from .biased_attention import aligned_index, gathered_bias

# Last rows of a BEiT table: from cls, to cls, cls to itself.
CLS_ROWS = 3
# Of which torch's fused attention in half precision wants a multiple.
_KERNEL_WIDTH = 8


class DecomposedPositions(nn.Module):
    """Positions along each axis, met by the unscaled query (ViTDet, arXiv 2203.16527; MViTv2, 2112.01526).

    The logit of a pair is raised by ``query @ row + query @ column``, with one vector for each offset between the rows
    and the columns of the two. All vectors start at 0.

    Args:
        window: Tokens in height and width that the vectors are made for.
        head_dims: Width of one head.
    """

    def __init__(self, window: tuple[int, int], head_dims: int) -> None:
        super().__init__()
        self.rel_pos_h, self.rel_pos_w = (nn.Parameter(torch.zeros(2 * side - 1, head_dims)) for side in window)
        self._register_load_state_dict_pre_hook(self._resize_stored)

    def forward(self, query: Tensor, key: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, None]:
        """Widen queries and keys so that their product holds the positions too: no bias for each pair is stored.

        Args:
            query: [B, heads, h * w, head_dims], scaled by the root of its width later.
            key: The same shape.
            grid: Tokens (h, w).

        Returns:
            Queries and keys [B, heads, h * w, D], D being head_dims + h + w or a little more, and no bias.
        """
        places, scale = query.unflatten(2, grid), query.shape[-1]**-.5
        by_rows = torch.einsum('bnhwc,hkc->bnhwk', places, self._offsets(self.rel_pos_h, grid[0]).to(query.dtype))
        by_columns = torch.einsum('bnhwc,wkc->bnhwk', places, self._offsets(self.rel_pos_w, grid[1]).to(query.dtype))
        rows, columns = (torch.eye(side, dtype=key.dtype, device=key.device) for side in grid)
        cells = torch.cat([rows.repeat_interleave(grid[1], 0), columns.repeat(grid[0], 1)], dim=1)
        positions = torch.cat([by_rows, by_columns], dim=-1).flatten(2, 3) / scale
        query, key = torch.cat([query, positions], -1), torch.cat([key, cells.expand(*key.shape[:2], -1, -1)], -1)
        more = 0, -query.shape[-1] % _KERNEL_WIDTH
        return F.pad(query, more), F.pad(key, more), None

    @staticmethod
    def _offsets(table: Tensor, side: int) -> Tensor:
        """Vector for each pair of a query's and a key's place on an axis, [side, side, head_dims]."""
        return _resize_axis(table, side)[relative_position_index((side, 1), device=table.device)]

    def _resize_stored(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for name, own in self.named_parameters(prefix=prefix.removesuffix('.')):
            if name in state_dict:
                state_dict[name] = _resize_axis(state_dict[name], (len(own) + 1) // 2)


def _resize_axis(table: Tensor, side: int) -> Tensor:
    """Vectors [2s - 1, C] for the offsets along an axis, bicubic to those of ``side`` tokens."""
    return resize_position_table(table, ((len(table) + 1) // 2, 1), (side, 1))


class PositionTable(nn.Module):
    """One number for each offset and head (BEiT, arXiv 2106.08254), which starts at 0.

    The table keeps its shape and is interpolated inside the forward. Its last three rows serve a cls token where there
    is one.

    Args:
        window: Tokens in height and width that the table is made for.
        num_heads: Attention heads.
    """

    def __init__(self, window: tuple[int, int], num_heads: int) -> None:
        super().__init__()
        self.window_size = tuple(window)
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) + CLS_ROWS
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, num_heads))
        self._register_load_state_dict_pre_hook(self._resize_stored)

    def forward(self, query: Tensor, key: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Bias of each pair.

        Args:
            query: [B, heads, N, head_dims]; N is h * w, or one more where cls comes first.
            key: The same shape.
            grid: Tokens (h, w).

        Returns:
            Queries and keys as they are, and the bias [heads, N, N].
        """
        return query, key, table_bias(self.relative_position_bias_table, self.window_size, grid, query.shape[2])

    def _resize_stored(self, state_dict: dict, prefix: str, *args: Any) -> None:
        resize_stored_tables(self, state_dict, prefix, CLS_ROWS)


def table_bias(table: Tensor, window: tuple[int, int], grid: tuple[int, int], tokens: int) -> Tensor:
    """Bias of each pair of tokens from a BEiT table, which is resized (bicubic) where the grid is not its window.

    Args:
        table: [(2h - 1) * (2w - 1) + 3, heads] for ``window`` = (h, w).
        window: Tokens in height and width that the table is made for.
        grid: Those that come.
        tokens: Their number; one more than the grid has is cls, which comes first.

    Returns:
        [heads, tokens, tokens].
    """
    index = relative_position_index(grid, tokens > grid[0] * grid[1], table.device)
    return gathered_bias(resize_position_table(table, window, grid, CLS_ROWS), aligned_index(index))


def resize_stored_tables(encoder: nn.Module, state_dict: dict, prefix: str, num_extra: int = 0) -> None:
    """Resize relative-position tables of a state dict to an encoder's own, bicubic.

    Args:
        encoder: Module that has, or some of whose parts have, a ``relative_position_bias_table`` for a ``window_size``.
        state_dict: Changed in place; tables to resize must be those of square windows.
        prefix: What the encoder's names begin with in the state dict.
        num_extra: Trailing rows of a table that stay as they are.

    Raises:
        InputError: A table to resize is not one of a square window.
    """
    for name, part in encoder.named_modules(prefix=prefix.removesuffix('.')):
        own = getattr(part, 'relative_position_bias_table', None)
        stored = state_dict.get(f'{name}.relative_position_bias_table')
        if own is None or stored is None or stored.shape == own.shape:
            continue
        side = int((len(stored) - num_extra)**.5) // 2 + 1
        state_dict[f'{name}.relative_position_bias_table'] = resize_position_table(
            stored, (side, side), part.window_size, num_extra)
        if f'{name}.relative_position_index' in state_dict:
            state_dict[f'{name}.relative_position_index'] = part.relative_position_index
        print_log(f'{name}: position table resized from windows of {side}x{side} to '
                  '{}x{}'.format(*part.window_size), 'current')
