"""A Swin Transformer turned round: from the coarsest map to pixels."""
from collections.abc import Sequence
from typing import Any

from mmengine.model import ModuleList
from mmpretrain.models import SwinTransformer
from mmpretrain.models.backbones.swin_transformer import SwinBlockSequence
from torch import Tensor, nn

from ...errors import InputError
from ...ops import map_to_tokens, tokens_to_map, unpatchify
from ...registry import MODELS
from ..backbones.recomputation import recompute_blocks
from ..backbones.window_attention import WindowAttention, set_stage_window
from .base import Decoder


class PatchExpanding(nn.Module):
    """Linear, pixel shuffle, LayerNorm: each token becomes ``factor`` x ``factor`` tokens.

    Args:
        in_channels: Width of the tokens that come in.
        out_channels: Width of the tokens that go out.
        factor: Tokens per token along each side.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(in_channels, out_channels * factor**2)
        self.norm = nn.LayerNorm(out_channels)

    def finer(self, grid: tuple[int, int]) -> tuple[int, int]:
        """The grid behind the expansion of ``grid`` (h, w)."""
        return grid[0] * self.factor, grid[1] * self.factor

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Expand tokens [B, N, in_channels] of a grid (h, w) to [B, N * factor ** 2, out_channels]."""
        maps = unpatchify(self.expand(tokens), grid, self.factor, channels_last=False)
        return self.norm(map_to_tokens(maps))


def _resolve(arch: str | dict) -> dict:
    """Widths, depths and heads of an architecture that may be given by name."""
    names = SwinTransformer.arch_zoo
    if not isinstance(arch, dict):
        if arch not in names:
            raise InputError(f"an inverse Swin's arch must be one of {', '.join(names)} or a dict, but is {arch!r}")
        return names[arch]
    if set(arch) != {'embed_dims', 'depths', 'num_heads'} or len(arch['depths']) != len(arch['num_heads']):
        raise InputError("an inverse Swin's arch must state embed_dims and as many depths as num_heads, but is "
                         f'{arch}')
    for stage, heads in enumerate(arch['num_heads']):
        if arch['embed_dims'] * 2**stage % heads:
            raise InputError(f'a stage of width {arch["embed_dims"] * 2**stage} cannot be divided among {heads} heads')
    return arch


@MODELS.register_module()
class InverseSwinDecoder(Decoder):
    """A Swin's stages in reverse order, with patches that expand instead of merging.

    SimMIM, arXiv 2111.09886, section 3.3, names inverse Swin-T and Swin-B without describing them. This
    construction has the published numbers of parameters: a projection to the deepest stage's width; the stages,
    each followed by an expansion by 2 and the last by one to pixels; a convolution that reads the target's cells,
    for which ``channels_last`` has no meaning.

    Windows follow the images' size as a Swin's do: one place per 32 px of the shorter side (6 at 192 px), but
    never more than the map has. Parameters keep their shapes: position tables are interpolated.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'large'``, or a dict with ``embed_dims`` of the finest stage,
            and ``depths`` and ``num_heads`` of all stages in a Swin's own order, finest first.
        window_size: Side of the windows that the stored position tables are made for.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: Those of :class:`Decoder`.

    Raises:
        InputError: Unknown architecture, or its stages do not fit the stride.
    """

    def __init__(self, arch: str | dict = 'tiny', window_size: int = 6, with_cp: bool = False,
                 **options: Any) -> None:
        super().__init__(**options)
        arch = _resolve(arch)
        widths = [arch['embed_dims'] * 2**stage for stage in range(len(arch['depths']))][::-1]
        inner = 2**(len(widths) - 1)
        if self.stride % inner:
            raise InputError(f"an inverse Swin of {len(widths)} stages needs an encoder whose stride is a multiple of "
                             f'{inner} px, but it is {self.stride} px')
        self.embed = nn.Linear(self.in_channels, widths[0])
        self.stages = ModuleList(
            SwinBlockSequence(width, depth, heads, window_size, block_cfgs=dict(
                attn_cfgs=dict(window_msa=WindowAttention)))
            for width, depth, heads in zip(widths, arch['depths'][::-1], arch['num_heads'][::-1], strict=True))
        if with_cp:
            for stage in self.stages:
                recompute_blocks(stage.blocks)
        self.expansions = ModuleList(PatchExpanding(width, width // 2, 2) for width in widths[:-1])
        self.expansions.append(PatchExpanding(widths[-1], widths[-1], self.stride // inner))
        self.predict = nn.Conv2d(widths[-1], self.out_channels, self.out_stride, self.out_stride)
        self.input_size: tuple[int, int] | None = None

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(module.weight, std=.02)
                nn.init.zeros_(module.bias)

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Let the windows follow images of ``size`` (H, W) in pixels; parameters keep their shapes."""
        grid = self.grid(size)
        for stage, expansion in zip(self.stages, self.expansions, strict=True):
            set_stage_window(stage.blocks, max(1, min(*grid, min(size) // 32)), grid)
            grid = expansion.finer(grid)
        self.input_size = tuple(size)

    def forward(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                mask: Tensor | None = None) -> Tensor:
        if tuple(size) != self.input_size:
            raise InputError(f"the inverse Swin's windows are set for {self.input_size or 'no size yet'}, but images "
                             f'of {tuple(size)} came: call set_input_size first')
        tokens, extra = self.as_tokens(features, size)
        tokens, grid = self.embed(tokens[:, extra:]), self.grid(size)
        for stage, expansion in zip(self.stages, self.expansions, strict=True):
            tokens = expansion(stage(tokens, grid)[0], grid)
            grid = expansion.finer(grid)
        return self.predict(tokens_to_map(tokens, grid))
