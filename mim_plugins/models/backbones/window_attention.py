"""Window attention whose window can change while its parameters keep their shapes."""
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import WindowMSA
from torch import Tensor, nn

from ...errors import InputError
from ...ops import relative_position_index, resize_mask, resize_position_table, separate_groups
from .biased_attention import aligned_index, attend, gathered_bias, masked_bias

# Group of the places that pad a map; images have groups 0 and 1.
_PADDING = 2


class WindowAttention(WindowMSA):
    """mmpretrain's window attention with a table for one window that serves any.

    Names and shapes of parameters and buffers are mmpretrain's for the table's window. The bias is
    interpolated from the table inside the forward (bicubic), so that nothing changes shape with the window.

    Args:
        embed_dims: Width.
        window_size: Tokens in height and width of the first window.
        num_heads: Attention heads.
        table_window: The window that the table is made for; None is ``window_size``.
        **options: mmpretrain's.

    Attributes:
        groups: Group of each token, integers [B * W, N]; tokens attend their own only. None joins all.
    """
    groups: Tensor | None = None

    def __init__(self, embed_dims: int, window_size: tuple[int, int], num_heads: int,
                 table_window: tuple[int, int] | None = None, **options: Any) -> None:
        super().__init__(embed_dims, table_window or window_size, num_heads, **options)
        self.set_window(window_size)

    def set_window(self, window: tuple[int, int]) -> None:
        """Attend within windows of (h, w) tokens from now on."""
        self.current_window = tuple(window)
        index = relative_position_index(window, device=self.relative_position_bias_table.device)
        self.register_buffer('current_index', aligned_index(index), persistent=False)

    def position_bias(self) -> Tensor:
        """Bias of each pair of tokens in the current window, [heads, N, N]."""
        table = resize_position_table(self.relative_position_bias_table, self.window_size, self.current_window)
        return gathered_bias(table, self.current_index)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [B * W, N, C], the W windows of one image after another.
            mask: Added to the logits, [W, N, N].

        Returns:
            [B * W, N, C].
        """
        query, key, value = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if self.groups is not None:
            query, key = separate_groups(query, key, self.groups, self.scale)
        dropout = self.attn_drop.p if self.training else 0.
        attended = attend_with_mask(query, key, value, self.position_bias(), mask, dropout, self.scale)
        return self.proj_drop(self.proj(attended))


def attend_with_mask(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, mask: Tensor | None,
                     dropout: float, scale: float) -> Tensor:
    """Attend within windows whose mask is that of their place in the image.

    Args:
        query: [B * W, heads, N, C], the W windows of one image after another.
        key: The same shape, with as many channels.
        value: [B * W, heads, N, D].
        bias: [heads, N, N], or None.
        mask: Added to the logits, [W, N, N], or None.
        dropout: As of :func:`attend`.
        scale: As of :func:`attend`.

    Returns:
        [B * W, N, heads * D].
    """
    windows, heads = query.shape[:2]
    if mask is not None:
        # Windows and heads on one axis, so that the bias is not repeated for each image.
        bias = masked_bias(bias, mask.to(query.dtype), heads)
        query, key, value = (part.unflatten(0, (-1, len(mask))).flatten(1, 2) for part in (query, key, value))
    attended = attend(query, key, value, bias, dropout, scale).reshape(windows, heads, *value.shape[-2:])
    return attended.transpose(1, 2).flatten(2)


def stage_windows(window: int, grid: tuple[int, int], stages: int) -> list[int]:
    """Side of the windows in each stage: ``window``, or the shorter side of a stage's map that is smaller.

    Args:
        window: Side in tokens.
        grid: Tokens in height and width of the first stage; each further one has half of them.
        stages: Number of stages.
    """
    return [min(window, -(-min(grid) // 2**stage)) for stage in range(stages)]


def set_stage_window(blocks: Sequence[nn.Module], window: int, grid: tuple[int, int]) -> None:
    """Give the blocks of a Swin stage another window; every second block is shifted by half of it.

    Args:
        blocks: mmpretrain's SwinBlock or SwinBlockV2 with our attention.
        window: Side in tokens, at most the map's shorter side.
        grid: Tokens in height and width of the stage's map; a window that covers it is not shifted.
    """
    for number, block in enumerate(blocks):
        attention = block.attn
        attention.window_size = window
        attention.shift_size = window // 2 if number % 2 and window < min(grid) else 0
        attention.w_msa.set_window((window, window))


def set_stage_groups(blocks: Sequence[nn.Module], groups: Tensor | None, grid: tuple[int, int]) -> None:
    """Let the tokens of a Swin stage attend their own group only, until further notice.

    Args:
        blocks: mmpretrain's SwinBlock with our attention.
        groups: Bool [B, h, w] with h, w dividing the grid; None joins all.
        grid: Tokens in height and width of the stage's map.
    """
    windowed: dict[int, Tensor] = {}
    for block in blocks:
        window, shift = block.attn.window_size, block.attn.shift_size
        if groups is not None and shift not in windowed:
            windowed[shift] = window_groups(resize_mask(groups, grid), (window, window), shift)
        block.attn.w_msa.groups = windowed.get(shift)


def window_groups(groups: Tensor, window: tuple[int, int], shift: int = 0) -> Tensor:
    """Groups of the tokens in each window; places that pad the map are a group of their own.

    Args:
        groups: Bool [B, h, w], one for each token.
        window: Tokens in height and width.
        shift: Tokens by which the windows lie lower and further right.

    Returns:
        Integers [B * W, N], the W windows of one image after another.
    """
    pad = [-side % step for side, step in zip(groups.shape[1:], window, strict=True)]
    padded = F.pad(groups.to(torch.uint8), (0, pad[1], 0, pad[0]), value=_PADDING).roll((-shift, -shift), (1, 2))
    return partition(padded[..., None], window).flatten(1)


def partition(maps: Tensor, window: tuple[int, int]) -> Tensor:
    """Cut maps [B, H, W, C] into windows [B * W, N, C], the W windows of one image after another."""
    rows, columns = maps.shape[1] // window[0], maps.shape[2] // window[1]
    cut = maps.reshape(len(maps), rows, window[0], columns, window[1], -1)
    return cut.transpose(2, 3).reshape(-1, window[0] * window[1], maps.shape[-1])


def join(windows: Tensor, window: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Lay windows [B * W, N, C] out as the tokens [B, H * W, C] of a grid: the inverse of :func:`partition`."""
    rows, columns = grid[0] // window[0], grid[1] // window[1]
    cut = windows.reshape(-1, rows, columns, *window, windows.shape[-1])
    return cut.transpose(2, 3).reshape(-1, grid[0] * grid[1], windows.shape[-1])


def attend_in_windows(tokens: Tensor, grid: tuple[int, int], window: tuple[int, int],
                      attend: Callable[[Tensor], Tensor]) -> Tensor:
    """Attend within windows of a grid that they need not tile: zeros pad it below and on the right and are attended.

    Args:
        tokens: [B, H * W, C] of a grid (H, W).
        grid: Tokens in height and width.
        window: Those of a window.
        attend: From and to the tokens of windows [B * W, N, C].

    Returns:
        [B, H * W, C].
    """
    below, right = (-side % step for side, step in zip(grid, window, strict=True))
    whole = grid[0] + below, grid[1] + right
    padded = F.pad(tokens.unflatten(1, grid), (0, 0, 0, right, 0, below))
    attended = join(attend(partition(padded, window)), window, whole)
    return attended.unflatten(1, whole)[:, :grid[0], :grid[1]].flatten(1, 2)


def window_at(size: tuple[int, int], window_stride: int) -> int:
    """Side of the windows for images of ``size`` (H, W): the shorter side over ``window_stride``.

    Raises:
        InputError: It does not divide.
    """
    if min(size) % window_stride:
        raise InputError(f'images of {size[0]}x{size[1]} have no whole windows: their shorter side is no multiple of '
                         f'window_stride={window_stride}')
    return min(size) // window_stride
