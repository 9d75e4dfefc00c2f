"""Swin and SwinV2 at any size, with parameters of constant shape."""
import math
from collections.abc import Sequence
from typing import Any

from mmpretrain.models import SwinTransformer, SwinTransformerV2
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ...errors import InputError
from ...ops.positions import token_grid
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained, truncated
from .cosine_attention import CosineWindowAttention
from .depth import cut_arch
from .recomputation import recompute_blocks
from .relative_positions import resize_stored_tables
from .stages import check_groups, layer_depth
from .window_attention import WindowAttention, set_stage_groups, set_stage_window, stage_windows, window_at


class _ResizableWindows:
    """What the two generations share: windows that follow the image size."""

    def _start_windows(self, size: tuple[int, int], patch_size: int | tuple[int, int], stages: int,
                       window_size: int | None, window_stride: int | None) -> list[int]:
        """Side of each stage's windows at the size that the encoder is built for."""
        if (window_size is None) == (window_stride is None):
            raise InputError('windows need either window_size or window_stride, but got '
                             f'window_size={window_size} and window_stride={window_stride}')
        self._window_size = window_size
        self._window_stride = window_stride
        self._patch = to_2tuple(patch_size)
        return stage_windows(self._window(size), token_grid(size, self._patch), stages)

    def _window(self, size: tuple[int, int]) -> int:
        return self._window_size or window_at(size, self._window_stride)

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Set windows and shifts for images of ``size`` (H, W); no parameter changes.

        Raises:
            InputError: The size has no whole windows.
        """
        windows = stage_windows(self._window(size), token_grid(size, self._patch), len(self.stages))
        for stage, window, grid in zip(self.stages, windows, self._stage_grids(size), strict=True):
            set_stage_window(stage.blocks, window, grid)

    def _recompute(self) -> None:
        for stage in self.stages:
            recompute_blocks(stage.blocks)

    def _stage_grids(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Tokens in height and width of each stage's map for images of ``size`` (H, W)."""
        height, width = token_grid(size, self._patch)
        return [(-(-height // 2**number), -(-width // 2**number)) for number in range(len(self.stages))]


@MODELS.register_module()
class ResizableSwin(_ResizableWindows, SwinTransformer):
    """mmpretrain's Swin whose windows follow the image size (FastMIM-P, arXiv 2212.06593, section 3.4).

    At the size it is built for it equals mmpretrain's with the same weights (where ``pad_small_map`` is off),
    and its state dict has the same names and shapes. At another size, tables of relative positions are
    interpolated inside the forward. It can keep the two images of a mixed one apart (MixMIM, arXiv 2205.13137).

    Args:
        arch: As mmpretrain's.
        img_size: Size (H, W) that the encoder is built for; the algorithm states it.
        patch_size: As mmpretrain's.
        window_stride: Pixels of the image's shorter side per window token: 32 makes windows of 4, 6 and 7 at
            128, 192 and 224 px, 16 of 8 and 12 at 128 and 192. A stage whose map is smaller has windows as
            large as the map.
        window_size: Instead, windows of this side at every size.
        table_window: Window that all tables are made for (FastMIM-P: 14); None is each stage's own at
            ``img_size``.
        depth: Number of blocks, counted from the first, that are kept; the others are left out.
        stage_cfgs: As mmpretrain's.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.

    Raises:
        InputError: The windows are not stated clearly or do not fit the size, there are not ``depth`` blocks,
            or not as many ``stage_cfgs`` as stages.
    """

    def __init__(self, arch: str | dict = 'tiny', img_size: int | tuple[int, int] = 224,
                 patch_size: int | tuple[int, int] = 4, window_stride: int | None = None,
                 window_size: int | None = None, table_window: int | None = None, depth: int | None = None,
                 stage_cfgs: Sequence[dict] | dict | None = None, with_cp: bool = False,
                 **options: Any) -> None:
        arch = cut_arch(self.arch_zoo, arch, depth, 'depths')
        size, stages = to_2tuple(img_size), len(arch['depths'])
        windows = self._start_windows(size, patch_size, stages, window_size, window_stride)
        per_stage = [stage_cfgs or {}] * stages if isinstance(stage_cfgs, dict | None) else stage_cfgs
        if len(per_stage) != stages:
            raise InputError(f'stage_cfgs must be one for all or one for each of the {stages} stages, '
                             f'but there are {len(per_stage)}')
        super().__init__(
            arch=arch, img_size=size, patch_size=patch_size,
            stage_cfgs=[self._with_attention(stage, window, to_2tuple(table_window or window))
                        for stage, window in zip(per_stage, windows, strict=True)],
            **options)
        self.set_input_size(size)
        if with_cp:
            self._recompute()

    @staticmethod
    def _with_attention(stage: dict, window: int, table_window: tuple[int, int]) -> dict:
        """A stage's config with our attention in every block."""
        own = dict(window_msa=WindowAttention, table_window=table_window)

        def with_own(block: dict) -> dict:
            return {**block, 'attn_cfgs': {**block.get('attn_cfgs', {}), **own}}

        blocks = stage.get('block_cfgs', {})
        blocks = with_own(blocks) if isinstance(blocks, dict) else [with_own(block) for block in blocks]
        return {**stage, 'window_size': window, 'block_cfgs': blocks}

    @property
    def group_stride(self) -> int:
        """Side in pixels of the smallest unit that no stage merges with its neighbours."""
        return math.lcm(*self._patch) * 2**(len(self.stages) - 1)

    def stage_entries(self) -> list[tuple[nn.Module, int]]:
        """Module that each stage's tokens come into first, and their width."""
        return [(stage, stage.embed_dims) for stage in self.stages]

    def forward(self, x: Tensor, groups: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode.

        Args:
            x: Images [B, C, H, W].
            groups: Bool [B, h, w] of units of a multiple of ``group_stride`` pixels: tokens attend those of their own
                group only. None joins all.

        Returns:
            Maps of the stages in ``out_indices``, as mmpretrain's.

        Raises:
            InputError: Groups that cannot be kept apart.
        """
        check_groups(groups, x, self.group_stride)
        # They stay until the next call, for activation checkpointing runs the blocks again in the backward: a backward
        # has to come before the next forward.
        for stage, grid in zip(self.stages, self._stage_grids(tuple(x.shape[-2:])), strict=True):
            set_stage_groups(stage.blocks, groups, grid)
        return super().forward(x)

    def _prepare_relative_position_bias_table(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # mmpretrain's own needs scipy.interpolate.interp2d, which is gone.
        resize_stored_tables(self, state_dict, prefix)


@MODELS.register_module()
class ResizableSwinV2(_ResizableWindows, SwinTransformerV2):
    """mmpretrain's SwinV2 whose windows follow the image size.

    Positions come from a network on log-spaced coordinates, scaled by the current window or by
    ``pretrained_window_sizes`` where given, so that there is no table to resize. Linear weights start
    truncated normal with standard deviation .02, the norms that end a residual branch at 0 (arXiv 2111.09883).

    Args:
        arch: As mmpretrain's.
        img_size: Size (H, W) that the encoder is built for; the algorithm states it.
        patch_size: As mmpretrain's.
        window_stride: As in :class:`ResizableSwin`.
        window_size: As in :class:`ResizableSwin`.
        depth: As in :class:`ResizableSwin`.
        pretrained_window_sizes: As mmpretrain's, one per stage; 0 is the current window.
        with_cp: As in :class:`ResizableSwin`.
        **options: mmpretrain's.

    Raises:
        InputError: The windows are not stated clearly, do not fit the size, or there are not ``depth`` blocks.
    """

    def __init__(self, arch: str | dict = 'tiny', img_size: int | tuple[int, int] = 256,
                 patch_size: int | tuple[int, int] = 4, window_stride: int | None = None,
                 window_size: int | None = None, depth: int | None = None,
                 pretrained_window_sizes: Sequence[int] | None = None, with_cp: bool = False,
                 **options: Any) -> None:
        arch = cut_arch(self.arch_zoo, arch, depth, 'depths')
        size, stages = to_2tuple(img_size), len(arch['depths'])
        windows = self._start_windows(size, patch_size, stages, window_size, window_stride)
        pretrained = list(pretrained_window_sizes or [0] * stages)
        super().__init__(arch=arch, img_size=size, patch_size=patch_size, window_size=windows,
                         pretrained_window_sizes=pretrained, **options)
        for stage, window in zip(self.stages, pretrained, strict=True):
            for block in stage.blocks:
                CosineWindowAttention.replace(block.attn.w_msa, to_2tuple(window))
        self.set_input_size(size)
        if with_cp:
            self._recompute()

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, truncated)
        for stage in self.stages:
            for block in stage.blocks:
                for norm in (block.norm1, block.norm2):  # behind the branches: each starts as the identity
                    nn.init.zeros_(norm.weight)
                    nn.init.zeros_(norm.bias)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter and number of layers, as mmpretrain's layer-wise learning rates want them."""
        return layer_depth(param_name, prefix, self.depths, embeddings=())
