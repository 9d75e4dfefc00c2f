"""Fixed position embeddings that follow the input size and a checkpoint's order of channels."""
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..ops import columns_come_first, resize_position_embedding, sin_cos_position_embedding


class SinCosTable(nn.Module):
    """A module with one fixed sine-cosine table as buffer; for subclasses.

    The table is made for the grid that was set last. A checkpoint decides which half of its channels encodes the
    columns (MAE's released weights have them first, mmpretrain's last), whatever grid its own table is of.
    """

    def add_table(self, name: str, width: int, num_extra_tokens: int, resized: bool = False) -> None:
        """Make room for a table [1, num_extra_tokens + N, width] under ``name``.

        Args:
            name: Its name in the state dict.
            width: Channels, divisible by 4.
            num_extra_tokens: Leading tokens such as cls.
            resized: For other grids the table is resized (bicubic) instead of made anew, and its own grid is that of
                the checkpoint: an encoder that is trained on knows the positions it was trained with.
        """
        self.table_name, self._table_shape, self._columns_first = name, (width, num_extra_tokens), False
        self._table_is_resized = resized
        self.register_buffer(name, sin_cos_position_embedding((1, 1), *self._table_shape))
        self._table_grid = (1, 1)
        self._register_load_state_dict_pre_hook(self._take_over)

    def set_table_grid(self, grid: tuple[int, int]) -> None:
        """Make the table for a grid (h, w)."""
        self._table_grid = tuple(grid)
        setattr(self, self.table_name, self._made(grid))

    def table_for(self, grid: tuple[int, int]) -> Tensor:
        """The table, or where another grid (h, w) was set one resized or made for this call."""
        table = getattr(self, self.table_name)
        if self._table_is_resized:
            return resize_position_embedding(table, self._table_grid, grid, self._table_shape[1])
        return table if grid == self._table_grid else self._made(grid)

    def _made(self, grid: tuple[int, int]) -> Tensor:
        table = sin_cos_position_embedding(grid, *self._table_shape, self._columns_first)
        return table.to(getattr(self, self.table_name))

    def _take_over(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Before a state dict is loaded: take its order of channels, and its grid where tables are resized."""
        name = prefix + self.table_name
        stored = state_dict.get(name)
        if stored is not None:
            self._columns_first = self._order(stored)
            self.set_table_grid(self._grid_of(stored) if self._table_is_resized else self._table_grid)
        state_dict[name] = getattr(self, self.table_name)

    def _grid_of(self, stored: Tensor) -> tuple[int, int]:
        tokens = stored.shape[1] - self._table_shape[1]
        side = isqrt(tokens)
        if tokens == self._table_grid[0] * self._table_grid[1]:
            return self._table_grid
        if side**2 != tokens:
            raise InputError(f'a position table of {tokens} places is not that of a square, nor that of '
                             '{}x{}: state the size of the pre-training as img_size'.format(*self._table_grid))
        return side, side

    def _order(self, stored: Tensor) -> bool:
        width, extra = self._table_shape
        for columns_first in (False, True):
            own = sin_cos_position_embedding(self._table_grid, width, extra, columns_first)
            if stored.shape == own.shape and torch.allclose(stored.cpu().float(), own, atol=1e-3):
                return columns_first
        return columns_come_first(stored, extra)
