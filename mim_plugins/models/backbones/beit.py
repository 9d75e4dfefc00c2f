"""The ViT that SimMIM uses: BEiT's, with one relative-position bias for all layers."""
import math
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models import BEiTViT
from mmpretrain.models.backbones.beit import RelativePositionBias
from mmpretrain.models.utils import BEiTAttention
from torch import Tensor

from ...errors import InputError
from ...ops.positions import relative_position_index, resize_position_table, token_grid
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained, truncated
from .biased_attention import aligned_index, attend, gathered_bias
from .depth import cut_arch
from .recomputation import recompute_blocks
from .relative_positions import CLS_ROWS, resize_stored_tables, table_bias


class SharedPositionBias(RelativePositionBias):
    """mmpretrain's bias with a table for one grid that serves any, interpolated inside the forward."""

    def __init__(self, window_size: tuple[int, int], num_heads: int) -> None:
        super().__init__(window_size, num_heads)
        self.set_grid(window_size)

    def set_grid(self, grid: tuple[int, int]) -> None:
        """Give the bias of (h, w) tokens and cls from now on."""
        self.grid = tuple(grid)
        index = relative_position_index(grid, with_cls=True, device=self.relative_position_bias_table.device)
        self.register_buffer('grid_index', aligned_index(index), persistent=False)

    def forward(self) -> Tensor:
        """Bias [heads, 1 + N, 1 + N]."""
        table = resize_position_table(self.relative_position_bias_table, self.window_size, self.grid, CLS_ROWS)
        return gathered_bias(table, self.grid_index)


class _FusedAttention(BEiTAttention):
    """mmpretrain's BEiT attention by ``scaled_dot_product_attention``.

    Its table, where it has one, is for one grid and serves any: it is interpolated inside the forward.

    Attributes:
        grid: Tokens (h, w) that come; one more is cls.
    """
    grid: tuple[int, int]

    def forward(self, x: Tensor, rel_pos_bias: Tensor | None = None) -> Tensor:
        """Attend among tokens [B, N, C] with the bias [heads, N, N] that the layers share, if they do."""
        shift = self.qkv.bias
        if self.bias == 'qv_bias':
            shift = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        tokens = F.linear(x, self.qkv.weight, shift)
        query, key, value = tokens.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        bias = rel_pos_bias
        if self.use_rel_pos_bias:  # then the layers share none
            bias = table_bias(self.relative_position_bias_table, self.window_size, self.grid, x.shape[1])
        attended = attend(query, key, value, bias, self.attn_drop.p if self.training else 0., self.scale)
        return self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2)))


@MODELS.register_module()
class ResizableBEiT(BEiTViT):
    """mmpretrain's BEiT-style ViT at any size (SimMIM, arXiv 2111.09886, section 4.1).

    At the size it is built for it equals mmpretrain's with the same weights, and its state dict has the
    same names and shapes. Linear weights start truncated normal with standard deviation .02, those that
    end a residual branch divided by the root of twice the layer's number.

    Args:
        arch: As mmpretrain's.
        img_size: Size (H, W) that the encoder is built for; the algorithm states it.
        depth: Number of layers, counted from the first, that are kept; the others are left out.
        with_cp: Compute the layers' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.

    Raises:
        InputError: There are not ``depth`` layers, or relative positions are asked for without the cls token.
    """

    def __init__(self, arch: str | dict = 'base', img_size: int | tuple[int, int] = 224, depth: int | None = None,
                 with_cp: bool = False, **options: Any) -> None:
        super().__init__(arch=cut_arch(self.arch_zoo, arch, depth, 'num_layers'), img_size=img_size, **options)
        if (self.rel_pos_bias is not None or self.use_rel_pos_bias) and not self.with_cls_token:
            raise InputError('the relative-position bias needs the cls token: with_cls_token=True')
        for layer in self.layers:
            layer.attn.__class__ = _FusedAttention
        if self.rel_pos_bias is not None:
            self.rel_pos_bias = SharedPositionBias(self.patch_resolution, self.arch_settings['num_heads'])
        if with_cp:
            recompute_blocks(self.layers)

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, truncated)
        if self.cls_token is not None:
            truncated(self.cls_token)
        for number, layer in enumerate(self.layers, start=1):
            for weight in (layer.attn.proj.weight, layer.ffn.layers[1].weight):
                weight.data.div_(math.sqrt(2 * number))

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Set the grid for images of ``size`` (H, W), which every call does for its own; no parameter changes."""
        grid = token_grid(size, self.patch_embed.projection.stride)
        if self.rel_pos_bias is not None and grid != self.rel_pos_bias.grid:
            self.rel_pos_bias.set_grid(grid)
        if self.use_rel_pos_bias:
            for layer in self.layers:
                layer.attn.grid = grid

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images [B, C, H, W] of any size as mmpretrain's encoder does."""
        self.set_input_size(tuple(x.shape[-2:]))
        return tuple(output.contiguous() for output in super().forward(x))

    def _prepare_relative_position_bias_table(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # mmpretrain's own needs scipy.interpolate.interp2d, which is gone.
        if self.use_rel_pos_bias:
            # SimMIM's fine-tuning: each layer starts with the table that all of them shared.
            for part in ('relative_position_bias_table', 'relative_position_index'):
                shared = state_dict.pop(f'{prefix}rel_pos_bias.{part}', None)
                if shared is not None:
                    state_dict.update({f'{prefix}layers.{number}.attn.{part}': shared.clone()
                                       for number in range(self.num_layers)})
        resize_stored_tables(self, state_dict, prefix, CLS_ROWS)
