"""Position tables."""
import torch.nn.functional as F
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import Tensor


def sin_cos_position_embedding(grid: tuple[int, int], width: int, num_extra_tokens: int = 0) -> Tensor:
    """Fixed 2-D sine-cosine position embedding for a grid of tokens read row by row.

    The first half of the channels encodes the row, the second the column (MAE's released code has the
    halves the other way round).

    Args:
        grid: Tokens in height and width.
        width: Channels, divisible by 4.
        num_extra_tokens: Leading tokens such as cls, whose embedding is 0.

    Returns:
        Float32 [1, num_extra_tokens + N, width].
    """
    # mmpretrain lays its grid out column by column: harmless for squares, transposed for rectangles.
    table = build_2d_sincos_position_embedding((grid[1], grid[0]), width)
    return F.pad(table, (0, 0, num_extra_tokens, 0))
