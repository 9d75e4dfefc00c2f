from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.models.utils import to_2tuple
from timm.layers import ConvMlp, DropPath, LayerNorm2d
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from ...errors import InputError
from ...ops import map_to_tokens, resize_mask, tokens_to_map, visible_places
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained
from ..position_tables import SinCosTable
from .recomputation import recompute_blocks
from .stages import check_outputs, check_stride
from .window_attention import attend_in_windows

_KEYS = ('embed_dims', 'depths', 'num_heads')
# As released: only the ViT blocks and the last norm have 1e-6.
_Norm = partial(LayerNorm2d, eps=1e-5)


class _Embedding(nn.Module):
    """Patches without overlap, LayerNorm, GELU."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch, patch)
        self.norm = _Norm(width)

    def forward(self, maps: Tensor) -> Tensor:
        return nn.functional.gelu(self.norm(self.proj(maps)))


class _ConvBlock(nn.Module):
    """A depthwise 5x5 convolution in the place of attention; what is masked does not enter it."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = (_Norm(width) for _ in range(2))
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 1) for _ in range(2))
        self.attn = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.mlp = ConvMlp(width, 4 * width, act_layer=nn.GELU)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor, masked: Tensor | None) -> Tensor:
        inner = self.conv1(self.norm1(maps))
        inner = inner if masked is None else inner.masked_fill(masked, 0)
        maps = maps + self.drop_path(self.conv2(self.attn(inner)))
        return maps + self.drop_path(self.mlp(self.norm2(maps)))


class _WindowedAttention(Attention):
    """timm's attention within windows, which zeros pad to whole ones."""
    window: tuple[int, int]
    grid: tuple[int, int]

    def forward(self, x: Tensor, **options: Any) -> Tensor:
        return attend_in_windows(x, self.grid, self.window, partial(super().forward, **options))


@MODELS.register_module()
class ConvMAEEncoder(SinCosTable, BaseModule):
    """ConvMAE's hybrid encoder: two stages of masked convolutions, one of ViT blocks (arXiv 2205.03892, section 3).

    Masks reach the convolutions, so that nothing leaks from masked places, and the ViT blocks see visible tokens
    only. The names in the state dict are those of the released code; ``pos_embed`` is a buffer, made anew for each
    size. :class:`TokenDropFill` is the fill that goes with it.

    Args:
        arch: ``'base'``, or a dict with three ``embed_dims`` and ``depths`` and the ViT blocks' ``num_heads``.
        img_size: Size (H, W) that the position embedding is made for first; the algorithm states it.
        in_channels: Channels of the images.
        out_indices: Stages to give without a mask.
        multi_scale_fusion: Add the first two stages to the last one before its norm, as in pre-training. For
            transfer leave it out.
        drop_path_rate: Stochastic depth of the last block; it rises from 0.
        window_size: Tokens per side of the windows that ViT blocks attend in, which zeros pad to whole ones; None has
            no windows. With windows there are no masks.
        global_blocks: ViT blocks without windows, counted from 0.
        resize_positions: Positions for other sizes are those of the checkpoint, resized, instead of made anew; None
            does so where there are windows.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: Unknown or incomplete ``arch``, ``out_indices`` or ``global_blocks``; from a call, images whose
            sides are not multiples of 16, masks that leave different numbers of tokens visible, or masks with windows.
    """
    arch_zoo = {'base': dict(embed_dims=[256, 384, 768], depths=[2, 2, 11], num_heads=12)}
    num_extra_tokens = 0
    drops_tokens = True
    stride = 16

    def __init__(self, arch: str | dict = 'base', img_size: int | tuple[int, int] = 224, in_channels: int = 3,
                 out_indices: Sequence[int] = (2, ), multi_scale_fusion: bool = True, drop_path_rate: float = 0.,
                 window_size: int | None = None, global_blocks: Sequence[int] = (0, 3, 6, 10),
                 resize_positions: bool | None = None, with_cp: bool = False,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        arch = self.arch_zoo.get(arch) if isinstance(arch, str) else arch
        if not arch or set(arch) != set(_KEYS) or not len(arch['embed_dims']) == len(arch['depths']) == 3:
            raise InputError(f'arch must be one of {", ".join(self.arch_zoo)} or a dict with {", ".join(_KEYS)} of '
                             f'three stages, but is {arch!r}')
        self.embed_dims, self.depths = arch['embed_dims'], arch['depths']
        self.out_indices = check_outputs(out_indices, stages=3)
        first, second, width = self.embed_dims
        rates = iter(torch.linspace(0, drop_path_rate, sum(self.depths)).tolist())
        self.patch_embed1 = _Embedding(in_channels, first, 4)
        self.patch_embed2 = _Embedding(first, second, 2)
        self.patch_embed3 = _Embedding(second, width, 2)
        self.patch_embed4 = nn.Linear(width, width)
        self.blocks1 = nn.ModuleList(_ConvBlock(first, next(rates)) for _ in range(self.depths[0]))
        self.blocks2 = nn.ModuleList(_ConvBlock(second, next(rates)) for _ in range(self.depths[1]))
        self.blocks3 = nn.ModuleList(
            Block(width, arch['num_heads'], qkv_bias=True, drop_path=next(rates),
                  norm_layer=partial(nn.LayerNorm, eps=1e-6)) for _ in range(self.depths[2]))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.multi_scale_fusion = multi_scale_fusion
        if multi_scale_fusion:
            self.stage1_output_decode = nn.Conv2d(first, width, 4, 4)
            self.stage2_output_decode = nn.Conv2d(second, width, 2, 2)
        if window_size is not None:
            self._set_windows(window_size, global_blocks, arch['num_heads'])
        self.has_windows = window_size is not None
        if with_cp:
            recompute_blocks((*self.blocks1, *self.blocks2, *self.blocks3))
        self.resize_positions = self.has_windows if resize_positions is None else resize_positions
        self.add_table('pos_embed', width, 0, self.resize_positions)
        self.set_table_grid(self._grid(to_2tuple(img_size)))

    def _set_windows(self, window_size: int, global_blocks: Sequence[int], num_heads: int) -> None:
        if not set(global_blocks) <= set(range(self.depths[2])):
            raise InputError(f'global_blocks must name some of {self.depths[2]} ViT blocks, counted from 0, but is '
                             f'{tuple(global_blocks)}')
        for number in set(range(self.depths[2])) - set(global_blocks):
            attention = _WindowedAttention(self.embed_dims[2], num_heads, qkv_bias=True)
            attention.window = window_size, window_size
            self.blocks3[number].attn = attention

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, nn.init.xavier_uniform_)
        nn.init.xavier_uniform_(self.patch_embed3.proj.weight.data.flatten(1))  # the only one in the released code

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Make the position embedding for images of ``size`` (H, W), unless it is resized in the forward."""
        if not self.resize_positions:
            self.set_table_grid(self._grid(size))

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // self.stride, size[1] // self.stride

    def forward(self, images: Tensor, mask: Tensor | None = None,
                number: int | None = None) -> Tensor | tuple[Tensor, ...]:
        """Encode images.

        Args:
            images: [B, C, H, W].
            mask: Bool [B, h, w], True = masked, on the grid of the ViT's tokens or a coarser one; None masks nothing.
            number: Tokens that each mask leaves visible where that is known; None counts them.

        Returns:
            With a mask the visible tokens [B, K, embed_dims[-1]] in the order of the grid; otherwise maps
            [B, C, h, w] of the stages in ``out_indices``.
        """
        check_stride(images, self.stride)
        if mask is not None and self.has_windows:
            raise InputError('visible tokens make no windows, but a mask came to an encoder with a window_size')
        maps, stages = images, []
        for embed, blocks in ((self.patch_embed1, self.blocks1), (self.patch_embed2, self.blocks2)):
            maps = embed(maps)
            masked = None if mask is None else resize_mask(mask, tuple(maps.shape[-2:])).unsqueeze(1)
            for block in blocks:
                maps = block(maps, masked)
            stages.append(maps)
        maps = self.patch_embed3(maps)
        grid = tuple(maps.shape[-2:])
        places = None if mask is None else visible_places(mask, grid, number).unsqueeze(-1)

        def seen(tokens: Tensor) -> Tensor:
            return tokens if places is None else tokens.gather(1, places.expand(-1, -1, tokens.shape[-1]))

        tokens = seen(self.patch_embed4(map_to_tokens(maps)) + self.table_for(grid))
        for block in self.blocks3:
            if isinstance(block.attn, _WindowedAttention):
                block.attn.grid = grid  # stays for a block that runs again in the backward
            tokens = block(tokens)
        if self.multi_scale_fusion:
            for skip, stage in zip((self.stage1_output_decode, self.stage2_output_decode), stages, strict=True):
                tokens = tokens + seen(map_to_tokens(skip(stage)))
        tokens = self.norm(tokens)
        if mask is not None:
            return tokens
        stages.append(tokens_to_map(tokens, grid))
        return tuple(stages[number].contiguous() for number in self.out_indices)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter and number of layers, as mmpretrain's layer-wise learning rates want them.

        Embeddings, convolutional stages and skips are layer 0 (released fine-tuning code), each ViT block is one; the
        last is the norm's and of what is not in the encoder.
        """
        layers = self.depths[2] + 2
        first, *rest = param_name.removeprefix(prefix).split('.')
        if not param_name.startswith(prefix) or first == 'norm':
            return layers - 1, layers
        return (int(rest[0]) + 1 if first == 'blocks3' else 0), layers
