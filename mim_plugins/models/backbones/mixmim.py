from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mmpretrain.models import MixMIMTransformer as StockMixMIMTransformer
from torch import Tensor, nn

from ...errors import InputError
from ...ops import divide, read_size, resize_mask, token_grid, tokens_to_map
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained
from ..position_tables import SinCosTable
from .depth import cut_arch
from .recomputation import recompute_blocks
from .relative_positions import resize_stored_tables
from .stages import check_groups, check_outputs
from .window_attention import WindowAttention, attend_in_windows, window_groups


class TiledAttention(WindowAttention):
    """Window attention that cuts a map's tokens into windows of any shape by itself, padded where they do not tile."""

    def set_grid(self, grid: tuple[int, int], window: tuple[int, int]) -> None:
        """Take maps of (h, w) tokens and attend within windows of (h, w) tokens from now on."""
        self.grid = grid
        if window != self.current_window:
            self.set_window(window)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: Tokens of whole maps in any shape that reads row by row, [..., C].
            mask: As in :class:`WindowAttention`.

        Returns:
            The same shape.
        """
        tokens = x.reshape(-1, self.grid[0] * self.grid[1], x.shape[-1])
        attend = partial(super().forward, mask=mask)
        return attend_in_windows(tokens, self.grid, self.current_window, attend).reshape(x.shape)


@MODELS.register_module()
class MixMIMTransformer(SinCosTable, StockMixMIMTransformer):
    """MixMIM's encoder at any size (arXiv 2205.13137, section 3.3 and appendix).

    Windows without shift, relative-position bias, a fixed sine-cosine position embedding. Names and shapes of the state
    dict are mmpretrain's, so that a checkpoint loads into its class for fine-tuning. It can keep the two images of a
    mixed one apart. Linear weights start Xavier-uniform.

    Args:
        arch: ``'base'``, ``'large'``, ``'huge'``, or a dict with ``embed_dims``, ``depths`` and ``num_heads``.
        img_size: Size (H, W) that the encoder is built for; the algorithm states it.
        patch_size: Side of a patch in pixels.
        window_stride: Pixels of the image per window token along each axis: 16 makes windows of 14, 14, 14 and 7 at
            224 px and of 8, 8, 8 and 4 at 128 px. A stage whose map is smaller has windows as large as the map.
        window_size: Instead, windows of this side at every size, or of one side for each stage.
        table_window: Window that all tables are made for; None is each block's own at ``img_size``.
        depth: Number of blocks, counted from the first, that are kept; the others are left out.
        pad: Take images of any size, as detectors and segmenters do: zeros behind the norm pad each map to whole
            windows and are attended. It needs a ``window_size``.
        large_window_blocks: For some stages the numbers of blocks with larger windows, all counted from 0.
        large_window: Side of those.
        out_indices: Stages to give; None gives the last.
        out_norms: Norm the map of every stage that is given; otherwise that of the last one only.
        resize_positions: Positions for other sizes are those of the checkpoint, resized, instead of made anew; None
            does so where ``pad`` is on.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.

    Raises:
        InputError: The size has no whole windows, or there are not ``depth`` blocks, or options name stages or blocks
            that are not there.
    """

    def __init__(self, arch: str | dict = 'base', img_size: int | tuple[int, int] = 224, patch_size: int = 4,
                 window_stride: int = 16, window_size: int | Sequence[int] | None = None,
                 table_window: int | None = None, depth: int | None = None, pad: bool = False,
                 large_window_blocks: Mapping[int, Sequence[int]] | None = None, large_window: int = 32,
                 out_indices: Sequence[int] | None = None, out_norms: bool = False,
                 resize_positions: bool | None = None, with_cp: bool = False, **options: Any) -> None:
        arch = cut_arch(self.arch_zoo, arch, depth, 'depths')
        size, stages = read_size(img_size), len(arch['depths'])
        self._check_windows(arch['depths'], window_size, pad, large_window_blocks or {})
        super().__init__(arch=arch, img_size=size, patch_size=patch_size, window_size=[1] * stages, **options)
        self.patch_size = patch_size
        self.pad = pad
        self.resize_positions = pad if resize_positions is None else resize_positions
        self.out_indices = check_outputs([stages - 1] if out_indices is None else out_indices, stages)
        self._window_sizes = [window_size] * stages if isinstance(window_size, int) else window_size
        self._window_stride = window_stride
        self._large_windows = {
            (stage, block): large_window for stage, blocks in (large_window_blocks or {}).items() for block in blocks}
        for layer, windows in zip(self.layers, self._windows(size), strict=True):
            for block, window in zip(layer.blocks, windows, strict=True):
                # mmpretrain's block cuts square windows only: it is left with windows of one token.
                block.attn = TiledAttention(
                    block.embed_dims, window, block.num_heads,
                    (table_window, table_window) if table_window else None, qkv_bias=self.qkv_bias,
                    attn_drop=self.attn_drop_rate, proj_drop=self.drop_rate)
            if with_cp or self.use_checkpoint:
                recompute_blocks(layer.blocks)
        if out_norms:
            for stage in sorted({*self.out_indices} - {stages - 1}):
                self.add_module(f'norm{stage}', nn.LayerNorm(self.layers[stage].embed_dims))
        del self.absolute_pos_embed  # mmpretrain's is a parameter
        self.add_table('absolute_pos_embed', self.embed_dims, 0, self.resize_positions)
        self.set_table_grid(self._grids(size)[0])
        self.set_input_size(size)
        self._register_load_state_dict_pre_hook(self._resize_tables)

    def init_weights(self) -> None:
        super().init_weights()
        if not is_pretrained(self.init_cfg):
            init_linear(self, nn.init.xavier_uniform_)

    @staticmethod
    def _check_windows(depths: Sequence[int], window_size: int | Sequence[int] | None, pad: bool,
                       large_window_blocks: Mapping[int, Sequence[int]]) -> None:
        if pad and window_size is None:
            raise InputError('images of any size need windows of one: pad=True came without a window_size')
        if window_size is not None and not isinstance(window_size, int) and len(window_size) != len(depths):
            raise InputError(f'window_size must be one side or {len(depths)}, one for each stage, but is {window_size}')
        for stage, blocks in large_window_blocks.items():
            if stage not in range(len(depths)) or not set(blocks) <= set(range(depths[stage])):
                raise InputError(f'large_window_blocks must name blocks of stages with {list(depths)} blocks, both '
                                 f'counted from 0, but has {stage}: {list(blocks)}')

    def _grids(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Tokens in height and width of each stage's map."""
        strides = (self.patch_size * 2**number for number in range(len(self.layers)))
        return [token_grid(size, (stride, stride)) for stride in strides]

    def _windows(self, size: tuple[int, int]) -> list[list[tuple[int, int]]]:
        """Tokens in height and width of the windows of each stage's blocks."""
        if not self.pad:
            divide(size, self.group_stride, 'cells of the last map')
        return [[self._window(size, grid, stage, block) for block in range(len(layer.blocks))]
                for stage, (layer, grid) in enumerate(zip(self.layers, self._grids(size), strict=True))]

    def _window(self, size: tuple[int, int], grid: tuple[int, int], stage: int, block: int) -> tuple[int, int]:
        side = self._large_windows.get((stage, block)) or (self._window_sizes and self._window_sizes[stage])
        window = (side, side) if side else divide(size, self._window_stride, 'window tokens')
        if self.pad:
            return window
        window = tuple(map(min, window, grid))
        if grid[0] % window[0] or grid[1] % window[1]:
            raise InputError(f'windows of {window[0]}x{window[1]} tokens do not tile a map of {grid[0]}x{grid[1]}, '
                             f'which images of {size[0]}x{size[1]} px give')
        return window

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Set windows and position embedding for images of ``size`` (H, W); no parameter changes.

        Raises:
            InputError: The size has no whole windows.
        """
        all_windows, grids = self._windows(size), self._grids(size)
        for layer, grid, windows in zip(self.layers, grids, all_windows, strict=True):
            layer.input_resolution = grid
            for block, window in zip(layer.blocks, windows, strict=True):
                block.input_resolution = grid
                block.attn.set_grid(grid, window)
        if not self.resize_positions:
            self.set_table_grid(grids[0])
        self.input_size = tuple(size)

    @property
    def group_stride(self) -> int:
        """Side in pixels of the smallest unit that no stage merges with its neighbours."""
        return self.patch_size * 2**(len(self.layers) - 1)

    def stage_entries(self) -> list[tuple[nn.Module, int]]:
        """Module that each stage's tokens come into first, and their width; stages may have lost all blocks."""
        return [(layer.blocks[0], layer.embed_dims) for layer in self.layers if len(layer.blocks)]

    def forward(self, images: Tensor, groups: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode.

        Args:
            images: [B, C, H, W], of the size that was set last or with ``pad`` of any.
            groups: Bool [B, h, w] of units of a multiple of ``group_stride`` pixels: tokens attend those of their own
                group only. None joins all.

        Returns:
            Maps [B, C, h, w] of the stages in ``out_indices``.

        Raises:
            InputError: Images of another size, or groups that cannot be kept apart.
        """
        size = tuple(images.shape[-2:])
        if size != self.input_size and not self.pad:
            raise InputError('the encoder is set for images of {}x{}, but {}x{} came: call set_input_size '
                             'first'.format(*self.input_size, *size))
        if size != self.input_size:
            self.set_input_size(size)
        check_groups(groups, images, self.group_stride)
        self._set_groups(groups)
        tokens, grid = self.patch_embed(images)
        tokens = self.drop_after_pos(tokens + self.table_for(grid))
        maps = []
        for stage, layer in enumerate(self.layers):
            for block in layer.blocks:
                tokens = block(tokens)
            if stage in self.out_indices:
                norm = self.norm if layer.downsample is None else getattr(self, f'norm{stage}', nn.Identity())
                maps.append(tokens_to_map(norm(tokens), grid).contiguous())
            if layer.downsample is not None:
                tokens, grid = layer.downsample(tokens, grid)
        return tuple(maps)

    def _set_groups(self, groups: Tensor | None) -> None:
        # They stay until the next call, for activation checkpointing runs the blocks again in the backward: a backward
        # has to come before the next forward.
        for layer in self.layers:
            windowed: dict[tuple[int, int], Tensor] = {}
            for block in layer.blocks:
                window = block.attn.current_window
                if groups is not None and window not in windowed:
                    windowed[window] = window_groups(resize_mask(groups, layer.input_resolution), window)
                block.attn.groups = windowed.get(window)

    def _resize_tables(self, state_dict: dict, prefix: str, *args: Any) -> None:
        resize_stored_tables(self, state_dict, prefix)
