from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn.bricks.drop import DropPath
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ...ops import map_to_tokens, resize_pair_bias, square_grid, tokens_to_map
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained, truncated
from .biased_attention import attend
from .recomputation import recompute_blocks
from .stages import check_outputs, check_stride, layer_depth, stage_settings


class _Attention(nn.Module):
    """Attention on keys and values of a map reduced by a depthwise convolution."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)
        self.reduce = nn.Sequential(
            nn.Conv2d(width, width, reduction, reduction, groups=width), nn.BatchNorm2d(width)) if reduction > 1 else (
                None)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, tokens: Tensor, grid: tuple[int, int], bias: Tensor) -> Tensor:
        source = tokens if self.reduce is None else map_to_tokens(self.reduce(tokens_to_map(tokens, grid)))
        query, key, value = (self._split(part) for part in (self.query(tokens), self.key(source), self.value(source)))
        attended = attend(query, key, value, bias)
        return self.proj(attended.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    """Inverted residual: 1x1, depthwise 3x3 with a shortcut, 1x1, each with BatchNorm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.GELU(), nn.BatchNorm2d(hidden))
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.Sequential(nn.GELU(), nn.BatchNorm2d(hidden))
        self.shrink = nn.Sequential(nn.Conv2d(hidden, width, 1), nn.BatchNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.expand(maps)
        return self.shrink(self.act(maps + self.depthwise(maps)))


class _Block(nn.Module):
    """Local perception, attention, inverted residual."""

    def __init__(self, width: int, heads: int, hidden: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = _Attention(width, heads, reduction)
        self.ffn = _FeedForward(width, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor, bias: Tensor) -> Tensor:
        grid = tuple(maps.shape[-2:])
        tokens = map_to_tokens(maps + self.local(maps))
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), grid, bias))
        update = self.ffn(tokens_to_map(self.norm2(tokens), grid))
        return tokens_to_map(tokens, grid) + self.drop_path(update)


@MODELS.register_module()
class CMT(BaseModule):
    """CMT, a hybrid of convolutions and attention (arXiv 2107.06263, table 1), at any size.

    A convolutional stem, four stages of patch embedding and blocks. The attention bias that the blocks of a
    stage share has one value for each query and key of ``img_size``; for other sizes it is resized in the
    forward (bicubic), which the released code leaves out. The classifier's 1x1 convolution is not part of it.

    Args:
        arch: ``'small'``, or a dict with one number per stage under ``embed_dims``, ``depths``, ``num_heads``,
            ``mlp_ratios`` and ``sr_ratios`` (tokens per side that the attention's keys merge), and
            ``stem_channels``.
        img_size: Size (H, W) that the biases are made for; the algorithm states it.
        in_channels: Channels of the images.
        out_indices: Stages to give.
        drop_path_rate: Stochastic depth of the last block; it rises from 0.
        final_norm: Add a LayerNorm behind the last stage (FastMIM, arXiv 2212.06593, pre-trains with one).
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: Unknown or incomplete ``arch`` or ``out_indices``, or, from a call, images whose sides
            are not multiples of 32.
    """
    arch_zoo = {
        'small': dict(embed_dims=[64, 128, 256, 512], depths=[3, 3, 16, 3], num_heads=[1, 2, 4, 8],
                      mlp_ratios=[4, 4, 4, 4], sr_ratios=[8, 4, 2, 1], stem_channels=32),
    }
    num_extra_tokens = 0

    def __init__(self, arch: str | dict = 'small', img_size: int | tuple[int, int] = 224, in_channels: int = 3,
                 out_indices: Sequence[int] = (3, ), drop_path_rate: float = 0.,
                 final_norm: bool = False, with_cp: bool = False,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        arch = stage_settings(self.arch_zoo, arch, tuple(self.arch_zoo['small']))
        self.out_indices = check_outputs(out_indices)
        self.embed_dims = arch['embed_dims']
        self.depths = arch['depths']
        self.sr_ratios = arch['sr_ratios']
        width = arch['stem_channels']
        self.stem = nn.Sequential(*(
            layer for channels, stride in ((in_channels, 2), (width, 1), (width, 1))
            for layer in (nn.Conv2d(channels, width, 3, stride, 1), nn.GELU(), nn.BatchNorm2d(width))))
        grid = tuple(side // 2 for side in to_2tuple(img_size))
        rates = iter(torch.linspace(0, drop_path_rate, sum(self.depths)).tolist())
        self.patch_embeds, self.stages = ModuleList(), ModuleList()
        self.grids, self.position_biases = [], nn.ParameterList()
        for out, depth, heads, ratio, reduction in zip(
                self.embed_dims, self.depths, arch['num_heads'], arch['mlp_ratios'], self.sr_ratios, strict=True):
            self.patch_embeds.append(PatchEmbed(width, out, kernel_size=2, stride=2, norm_cfg=dict(type='LN')))
            grid, width = (grid[0] // 2, grid[1] // 2), out
            queries, keys = (side[0] * side[1] for side in self._grids(grid, reduction))
            self.grids.append(grid)
            self.position_biases.append(nn.Parameter(torch.zeros(heads, queries, keys)))
            self.stages.append(ModuleList(
                _Block(width, heads, width * ratio, reduction, next(rates)) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6) if final_norm else None
        if with_cp:
            for blocks in self.stages:
                recompute_blocks(blocks)
        self._register_load_state_dict_pre_hook(self._resize_stored)

    @staticmethod
    def _grids(grid: tuple[int, int], reduction: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Grids of a stage's queries and keys."""
        return grid, (grid[0] // reduction, grid[1] // reduction)

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, truncated)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out')
                nn.init.zeros_(module.bias)
        for bias in self.position_biases:
            truncated(bias)

    def _resize_stored(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for stage, (grid, reduction) in enumerate(zip(self.grids, self.sr_ratios, strict=True)):
            stored = state_dict.get(name := f'{prefix}position_biases.{stage}')
            if stored is not None and stored.shape != self.position_biases[stage].shape:
                grids = square_grid(stored.shape[1]), square_grid(stored.shape[2])
                state_dict[name] = resize_pair_bias(stored, grids, self._grids(grid, reduction))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode images [B, C, H, W] into maps [B, C, h, w] of the stages in ``out_indices``."""
        check_stride(images, 32)
        maps, outputs = self.stem(images), []
        for number, (embed, blocks) in enumerate(zip(self.patch_embeds, self.stages, strict=True)):
            tokens, grid = embed(maps)
            maps, reduction = tokens_to_map(tokens, grid), self.sr_ratios[number]
            bias = resize_pair_bias(self.position_biases[number], self._grids(self.grids[number], reduction),
                                    self._grids(grid, reduction))
            for block in blocks:
                maps = block(maps, bias)
            if number == len(self.stages) - 1 and self.norm is not None:
                maps = tokens_to_map(self.norm(map_to_tokens(maps)), grid)
            if number in self.out_indices:
                outputs.append(maps.contiguous())
        return tuple(outputs)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter and number of layers, as mmpretrain's layer-wise learning rates want them."""
        return layer_depth(param_name, prefix, self.depths, embeddings=('patch_embeds', 'position_biases'))
