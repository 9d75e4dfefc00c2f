"""A plain ViT's attention for images of any size: within windows or not, with relative positions or not."""
from functools import partial

from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from .biased_attention import attend
from .window_attention import attend_in_windows


class GridAttention(nn.Module):
    """mmpretrain's attention with the layers of one that is there, under their names.

    Args:
        stock: Attention whose layers are taken over.
        window: Tokens in height and width of the windows, which zeros pad to whole ones; None attends everywhere.
        positions: Relative positions of its own.
        shared_positions: Relative positions that belong to the encoder, which stores them.

    Attributes:
        grid: Tokens (h, w) of the maps that come; a token more is cls, and comes first.
    """
    grid: tuple[int, int]

    def __init__(self, stock: MultiheadAttention, window: tuple[int, int] | None = None,
                 positions: nn.Module | None = None, shared_positions: nn.Module | None = None) -> None:
        super().__init__()
        self.qkv, self.proj, self.gamma1 = stock.qkv, stock.proj, stock.gamma1
        self.attn_drop, self.proj_drop, self.out_drop = stock.attn_drop, stock.proj_drop, stock.out_drop
        self.num_heads = stock.num_heads
        self.window = window
        self.positions = positions
        self._shared_positions = (shared_positions, )  # no part of this module's state dict

    def forward(self, x: Tensor) -> Tensor:
        """Attend among tokens [B, N, C] of the grid."""
        if self.window is None:
            attended = self._attend(x, self.grid)
        else:
            attended = attend_in_windows(x, self.grid, self.window, partial(self._attend, grid=self.window))
        return self.out_drop(self.gamma1(self.proj_drop(self.proj(attended))))

    def _attend(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scale, bias = query.shape[-1]**-.5, None
        positions = self.positions or self._shared_positions[0]
        if positions is not None:
            query, key, bias = positions(query, key, grid)
        attended = attend(query, key, value, bias, self.attn_drop if self.training else 0., scale)
        return attended.transpose(1, 2).flatten(2)
