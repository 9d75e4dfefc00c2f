from typing import Any

from mmpretrain.models import MixMIMTransformer as StockMixMIMTransformer
from torch import Tensor, nn

from ...errors import InputError
from ...ops import divide, read_size, resize_mask
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained
from ..position_tables import SinCosTable
from .depth import cut_arch
from .relative_positions import resize_stored_tables
from .stages import check_groups
from .window_attention import WindowAttention, join, partition, window_groups


class TiledAttention(WindowAttention):
    """Window attention that cuts a map's tokens into windows of any shape by itself."""

    def set_grid(self, grid: tuple[int, int], window: tuple[int, int]) -> None:
        """Take maps of (h, w) tokens and attend within windows of (h, w) tokens from now on."""
        self.grid = grid
        self.set_window(window)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: Tokens of whole maps in any shape that reads row by row, [..., C].
            mask: As in :class:`WindowAttention`.

        Returns:
            The same shape.
        """
        windows = partition(x.reshape(-1, *self.grid, x.shape[-1]), self.current_window)
        return join(super().forward(windows, mask), self.current_window, self.grid).view(x.shape)


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
        window_size: Instead, windows of this side at every size.
        table_window: Window that all tables are made for; None is each stage's own at ``img_size``.
        depth: Number of blocks, counted from the first, that are kept; the others are left out.
        **options: mmpretrain's.

    Raises:
        InputError: The size has no whole windows, or there are not ``depth`` blocks.
    """

    def __init__(self, arch: str | dict = 'base', img_size: int | tuple[int, int] = 224, patch_size: int = 4,
                 window_stride: int = 16, window_size: int | None = None, table_window: int | None = None,
                 depth: int | None = None, **options: Any) -> None:
        arch = cut_arch(self.arch_zoo, arch, depth, 'depths')
        size = read_size(img_size)
        super().__init__(arch=arch, img_size=size, patch_size=patch_size, window_size=[1] * len(arch['depths']),
                         **options)
        self.patch_size = patch_size
        self._window_size = window_size
        self._window_stride = window_stride
        for layer, window in zip(self.layers, self._windows(size), strict=True):
            for block in layer.blocks:
                # mmpretrain's block cuts square windows only: it is left with windows of one token.
                block.attn = TiledAttention(
                    block.embed_dims, window, block.num_heads,
                    (table_window, table_window) if table_window else None, qkv_bias=self.qkv_bias,
                    attn_drop=self.attn_drop_rate, proj_drop=self.drop_rate)
        self.avgpool = nn.Identity()  # what comes out is a map
        del self.absolute_pos_embed  # mmpretrain's is a parameter
        self.add_table('absolute_pos_embed', self.embed_dims, 0)
        self._register_load_state_dict_pre_hook(self._resize_tables)
        self.set_input_size(size)

    def init_weights(self) -> None:
        super().init_weights()
        if not is_pretrained(self.init_cfg):
            init_linear(self, nn.init.xavier_uniform_)

    def _grids(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Tokens in height and width of each stage's map."""
        strides = (self.patch_size * 2**number for number in range(len(self.layers)))
        return [(size[0] // stride, size[1] // stride) for stride in strides]

    def _windows(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Tokens in height and width of each stage's windows."""
        divide(size, self.group_stride, 'cells of the last map')
        wanted = 2 * (self._window_size, ) if self._window_size else divide(
            size, self._window_stride, 'window tokens')
        windows = []
        for grid in self._grids(size):
            window = tuple(map(min, wanted, grid))
            if grid[0] % window[0] or grid[1] % window[1]:
                raise InputError(f'windows of {window[0]}x{window[1]} tokens do not tile a map of {grid[0]}x{grid[1]}, '
                                 f'which images of {size[0]}x{size[1]} px give')
            windows.append(window)
        return windows

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Set windows and position embedding for images of ``size`` (H, W); no parameter changes.

        Raises:
            InputError: The size has no whole windows.
        """
        windows, grids = self._windows(size), self._grids(size)
        for layer, grid, window in zip(self.layers, grids, windows, strict=True):
            layer.input_resolution = grid
            for block in layer.blocks:
                block.input_resolution = grid
                block.attn.set_grid(grid, window)
        self.set_table_grid(grids[0])
        self.input_size = tuple(size)

    @property
    def group_stride(self) -> int:
        """Side in pixels of the smallest unit that no stage merges with its neighbours."""
        return self.patch_size * 2**(len(self.layers) - 1)

    def stage_entries(self) -> list[tuple[nn.Module, int]]:
        """Module that each stage's tokens come into first, and their width."""
        return [(layer, layer.embed_dims) for layer in self.layers]

    def forward(self, images: Tensor, groups: Tensor | None = None) -> tuple[Tensor]:
        """Encode.

        Args:
            images: [B, C, H, W] of the size that was set last.
            groups: Bool [B, h, w] of units of a multiple of ``group_stride`` pixels: tokens attend those of their own
                group only. None joins all.

        Returns:
            The last map [B, C', H / 32, W / 32].

        Raises:
            InputError: Images of another size, or groups that cannot be kept apart.
        """
        if tuple(images.shape[-2:]) != self.input_size:
            raise InputError('the encoder is set for images of {}x{}, but {}x{} came: call set_input_size '
                             'first'.format(*self.input_size, *images.shape[-2:]))
        check_groups(groups, images, self.group_stride)
        # They stay until the next call, for activation checkpointing runs the blocks again in the backward: a backward
        # has to come before the next forward.
        for layer in self.layers:
            windowed = None if groups is None else window_groups(
                resize_mask(groups, layer.input_resolution), layer.blocks[0].attn.current_window)
            for block in layer.blocks:
                block.attn.groups = windowed
        features, = super().forward(images)
        return (features.view(len(images), -1, *self.layers[-1].input_resolution), )

    def _resize_tables(self, state_dict: dict, prefix: str, *args: Any) -> None:
        resize_stored_tables(self, state_dict, prefix)
