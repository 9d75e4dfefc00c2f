import math
import operator
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.backbones.twins import GSAEncoderLayer
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ...errors import InputError
from ...ops import resize_mask, same_group, square_grid, tokens_to_map
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained, truncated
from .recomputation import recompute_blocks
from .stages import check_groups, check_outputs, check_stride, layer_depth, stage_settings

_SHARED = dict(embed_dims=[64, 128, 320, 512], num_heads=[1, 2, 5, 8], mlp_ratios=[8, 8, 4, 4],
               sr_ratios=[8, 4, 2, 1])
_PATCHES = (4, 2, 2, 2)
_STRIDES = (4, 8, 16, 32)


class GroupAttention:
    """``scaled_dot_product_attention`` whose queries see keys of their own group.

    Attributes:
        allowed: Bool [B, 1, N, M], True = may see; None lets all see all.
    """
    allowed: Tensor | None = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, self.allowed, dropout_p)


class _Block(GSAEncoderLayer):
    """mmpretrain's block with stochastic depth once per branch."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.drop_path = nn.Identity()  # attention and FFN have their own; mmpretrain drops each branch twice
        self.attn.scaled_dot_product_attention = GroupAttention()


def _resize(table: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int]) -> Tensor:
    """Position embedding [1, N, C] for another grid (h, w), bilinear."""
    resized = F.interpolate(tokens_to_map(table, from_grid), to_grid, mode='bilinear', align_corners=False)
    return resized.flatten(2).transpose(1, 2)


@MODELS.register_module()
class PyramidVisionTransformer(BaseModule):
    """Pyramid Vision Transformer, first version (arXiv 2102.12122, table 1), at any size.

    Four stages of patch embedding, learned position embedding and blocks whose attention reads a
    spatially reduced map; a final LayerNorm. Position embeddings keep the shape of ``img_size`` and are
    resized in the forward (bilinear). It can keep the two images of a mixed one apart (MixMIM, arXiv 2205.13137).

    Attributes:
        group_stride: Side in pixels of the smallest unit that neither a stage nor its attention merges with others.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'medium'``, ``'large'``, or a dict with one number per stage under
            ``embed_dims``, ``depths``, ``num_heads``, ``mlp_ratios`` and ``sr_ratios`` (tokens per side that the
            attention's keys merge).
        img_size: Size (H, W) that the position embeddings are made for; the algorithm states it.
        in_channels: Channels of the images.
        out_indices: Stages to give.
        with_cls_token: Add a cls token to the last stage, for classification; pre-training has none.
        out_type: The last stage as a map, or its cls token; other stages are maps.
        drop_rate: Dropout after position embeddings and in the blocks.
        drop_path_rate: Stochastic depth of the last block; it rises from 0.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: Unknown or incomplete ``arch``, ``out_indices`` or ``out_type``, a cls token asked
            for that is not there or whose stage merges tokens, or, from a call, images whose sides are not
            multiples of 32.
    """
    arch_zoo = {
        'tiny': {**_SHARED, 'depths': [2, 2, 2, 2]},
        'small': {**_SHARED, 'depths': [3, 4, 6, 3]},
        'medium': {**_SHARED, 'depths': [3, 4, 18, 3]},
        'large': {**_SHARED, 'depths': [3, 8, 27, 3]},
    }
    num_extra_tokens = 0

    def __init__(self, arch: str | dict = 'large', img_size: int | tuple[int, int] = 224, in_channels: int = 3,
                 out_indices: Sequence[int] = (3, ), with_cls_token: bool = False,
                 out_type: Literal['featmap', 'cls_token'] = 'featmap', drop_rate: float = 0.,
                 drop_path_rate: float = 0., with_cp: bool = False, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        arch = stage_settings(self.arch_zoo, arch, ('embed_dims', 'depths', 'num_heads', 'mlp_ratios', 'sr_ratios'))
        if out_type not in ('featmap', 'cls_token'):
            raise InputError(f"out_type must be 'featmap' or 'cls_token', but is {out_type!r}")
        if out_type == 'cls_token' and not with_cls_token:
            raise InputError("out_type='cls_token' needs with_cls_token=True")
        if with_cls_token and arch['sr_ratios'][-1] != 1:
            raise InputError("a cls token needs a last stage with sr_ratios of 1, but they are "
                             f"{arch['sr_ratios']}")
        self.out_indices = check_outputs(out_indices)
        self.out_type = out_type
        self.group_stride = math.lcm(_STRIDES[-1], *map(operator.mul, _STRIDES, arch['sr_ratios']))
        self.embed_dims = arch['embed_dims']
        self.depths = arch['depths']
        grid = to_2tuple(img_size)
        rates = iter(torch.linspace(0, drop_path_rate, sum(self.depths)).tolist())
        self.patch_embeds, self.stages = ModuleList(), ModuleList()
        self.grids, self.pos_embeds = [], nn.ParameterList()
        for width, depth, heads, ratio, reduction, patch in zip(
                self.embed_dims, self.depths, arch['num_heads'], arch['mlp_ratios'], arch['sr_ratios'], _PATCHES,
                strict=True):
            self.patch_embeds.append(PatchEmbed(in_channels, width, kernel_size=patch, stride=patch,
                                                norm_cfg=dict(type='LN')))
            grid = grid[0] // patch, grid[1] // patch
            self.grids.append(grid)
            self.pos_embeds.append(nn.Parameter(torch.zeros(1, grid[0] * grid[1], width)))
            self.stages.append(ModuleList(_Block(
                width, heads, width * ratio, drop_rate=drop_rate, drop_path_rate=next(rates),
                norm_cfg=dict(type='LN', eps=1e-6), sr_ratio=reduction) for _ in range(depth)))
            in_channels = width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if with_cls_token else None
        self.cls_pos_embed = nn.Parameter(torch.zeros(1, 1, width)) if with_cls_token else None
        self.drop = nn.Dropout(drop_rate)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        if with_cp:
            for blocks in self.stages:
                recompute_blocks(blocks)
        self._register_load_state_dict_pre_hook(self._resize_stored)

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, truncated)
        for token in (*self.pos_embeds, self.cls_token, self.cls_pos_embed):
            if token is not None:
                truncated(token)

    def _positions(self, stage: int, grid: tuple[int, int]) -> Tensor:
        """Position embedding [1, N, C] of a stage on a grid (h, w)."""
        own, table = self.grids[stage], self.pos_embeds[stage]
        return table if own == grid else _resize(table, own, grid)

    def _resize_stored(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for stage, (grid, table) in enumerate(zip(self.grids, self.pos_embeds, strict=True)):
            stored = state_dict.get(name := f'{prefix}pos_embeds.{stage}')
            if stored is not None and stored.shape != table.shape:
                state_dict[name] = _resize(stored, square_grid(stored.shape[1]), grid)

    def stage_entries(self) -> list[tuple[nn.Module, int]]:
        """Module that each stage's tokens come into first, and their width."""
        return [(blocks[0], width) for blocks, width in zip(self.stages, self.embed_dims, strict=True)]

    def _set_groups(self, groups: Tensor | None, size: tuple[int, int]) -> None:
        for blocks, stride in zip(self.stages, _STRIDES, strict=True):
            grid, reduction = (size[0] // stride, size[1] // stride), blocks[0].attn.sr_ratio
            allowed = None if groups is None else same_group(*(resize_mask(groups, places).flatten(1) for places in (
                grid, (grid[0] // reduction, grid[1] // reduction))))
            for block in blocks:
                block.attn.scaled_dot_product_attention.allowed = allowed

    def forward(self, images: Tensor, groups: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode.

        Args:
            images: [B, C, H, W].
            groups: Bool [B, h, w] of units of a multiple of ``group_stride`` pixels: tokens attend those of their own
                group only. None joins all.

        Returns:
            Maps [B, C, h, w] of the stages in ``out_indices``; the cls token [B, C] for the last one if asked for.

        Raises:
            InputError: Sides that are no multiples of 32, or groups that cannot be kept apart.
        """
        check_stride(images, 32)
        check_groups(groups, images, self.group_stride)
        if groups is not None and self.cls_token is not None:
            raise InputError('a cls token would join the groups: with_cls_token=False')
        self._set_groups(groups, tuple(images.shape[-2:]))
        outputs, features = [], images
        last = len(self.stages) - 1
        for number, (embed, blocks) in enumerate(zip(self.patch_embeds, self.stages, strict=True)):
            tokens, grid = embed(features)
            tokens, shape = tokens + self._positions(number, grid), grid
            if number == last and self.cls_token is not None:
                cls_token = (self.cls_token + self.cls_pos_embed).expand(len(tokens), -1, -1)
                tokens = torch.cat([cls_token, tokens], dim=1)
                shape = 1, tokens.shape[1]  # the last stage reduces nothing, so it needs no true grid
            tokens = self.drop(tokens)
            for block in blocks:
                tokens = block(tokens, shape)
            if number == last:
                tokens = self.norm(tokens)
            features = tokens_to_map(tokens[:, tokens.shape[1] - grid[0] * grid[1]:], grid)
            if number in self.out_indices:
                outputs.append(
                    tokens[:, 0] if number == last and self.out_type == 'cls_token' else features.contiguous())
        return tuple(outputs)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter and number of layers, as mmpretrain's layer-wise learning rates want them."""
        return layer_depth(param_name, prefix, self.depths, embeddings=('patch_embeds', 'pos_embeds'))
