from collections.abc import Sequence
from math import isqrt
from typing import Any, Literal, get_args

import torch
from mmengine.logging import print_log
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from ...errors import InputError
from ...ops import read_size, resize_position_embedding, token_grid, tokens_to_map
from ...registry import MODELS
from .depth import cut_arch
from .grid_attention import GridAttention
from .recomputation import recompute_blocks
from .relative_positions import DecomposedPositions, PositionTable

RelativePosition = Literal['none', 'decomposed', 'table', 'shared_table']


class _DropCls(nn.Module):
    """Takes the first token away."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:]


@MODELS.register_module()
class DenseVisionTransformer(VisionTransformer):
    """mmpretrain's ViT as backbone of detectors and segmenters, for images of any size.

    Some blocks may attend within windows only (ViTDet, arXiv 2203.16527, section 3), and each may know the offset
    between tokens. Names and shapes in the state dict are those of a pre-training ViT with a cls token; the relative
    positions, which start at 0, come on top. The position embedding of ``img_size`` is learned on and resized (bicubic)
    in the forward.

    Args:
        arch: As mmpretrain's.
        img_size: Size (H, W) whose position embedding is stored; a checkpoint's of another size is resized.
        patch_size: Side of a patch in pixels.
        input_size: Size (H, W) that the relative positions of blocks without windows are made for.
        out_indices: Layers to give, counted from 0; -1 is the last.
        window_size: Tokens per side of the windows, which are padded with zeros after the norm; None has no windows.
        global_blocks: Layers without windows.
        relative_position: ``'decomposed'``: vectors along each axis for each layer (ViTDet); ``'table'``: a table for
            each layer (BEiT, arXiv 2106.08254); ``'shared_table'``: one table for all layers with windows and one for
            the others (FastMIM's detector, arXiv 2212.06593).
        with_cls_token: A cls token goes through the layers; it is not given.
        final_norm: Norm behind the last layer.
        with_cp: Compute the layers' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.

    Raises:
        InputError: Unknown ``arch`` or ``relative_position``, layers that are not there, or a cls token together with
            windows or decomposed positions, which have no place for it.
    """

    def __init__(self, arch: str | dict = 'base', img_size: int | tuple[int, int] = 224, patch_size: int = 16,
                 input_size: int | tuple[int, int] = 1024, out_indices: int | Sequence[int] = -1,
                 window_size: int | None = None, global_blocks: Sequence[int] = (2, 5, 8, 11),
                 relative_position: RelativePosition = 'none', with_cls_token: bool = False, final_norm: bool = False,
                 with_cp: bool = False, **options: Any) -> None:
        arch = cut_arch(self.arch_zoo, arch, None, 'num_layers')
        layers = arch['num_layers']
        outputs = [number + layers if number < 0 else number
                   for number in ([out_indices] if isinstance(out_indices, int) else out_indices)]
        global_blocks = () if window_size is None else tuple(global_blocks)
        for name, numbers in (('out_indices', outputs), ('global_blocks', global_blocks)):
            if not set(numbers) <= set(range(layers)):
                raise InputError(f'{name} must name some of {layers} layers, counted from 0, but is {tuple(numbers)}')
        if relative_position not in get_args(RelativePosition):
            raise InputError(f'relative_position must be one of {", ".join(get_args(RelativePosition))}, but is '
                             f'{relative_position!r}')
        if with_cls_token and (window_size is not None or relative_position == 'decomposed'):
            raise InputError('a cls token has no place in windows or decomposed positions, but with_cls_token=True came'
                             f' with window_size={window_size} and relative_position={relative_position!r}')
        super().__init__(arch=arch, img_size=img_size, patch_size=patch_size, out_indices=outputs, out_type='featmap',
                         final_norm=final_norm, **options)
        if not with_cls_token:
            # The embedding keeps cls's row, as in pre-training; what is added to it leaves before the first layer.
            del self.cls_token
            self.register_buffer('cls_token', torch.zeros(1, 1, self.embed_dims), persistent=False)
            self.drop_after_pos = nn.Sequential(self.drop_after_pos, _DropCls())
        window = None if window_size is None else (window_size, window_size)
        windows = [None if number in global_blocks else window for number in range(self.num_layers)]
        self._set_attention(windows, token_grid(read_size(input_size), (patch_size, patch_size)), relative_position)
        if with_cp:
            recompute_blocks(self.layers)

    def _set_attention(self, windows: Sequence[tuple[int, int] | None], grid: tuple[int, int],
                       relative_position: RelativePosition) -> None:
        """Give each layer our attention; ``grid`` is that of the relative positions where there are no windows."""
        heads = self.arch_settings['num_heads']
        if relative_position == 'shared_table':
            if None in windows:
                self.global_positions = PositionTable(grid, heads)
            if any(windows):
                self.window_positions = PositionTable(next(filter(None, windows)), heads)
        for layer, window in zip(self.layers, windows, strict=True):
            positions = shared = None
            if relative_position == 'decomposed':
                positions = DecomposedPositions(window or grid, self.embed_dims // heads)
            elif relative_position == 'table':
                positions = PositionTable(window or grid, heads)
            elif relative_position == 'shared_table':
                shared = self.window_positions if window else self.global_positions
            layer.attn = GridAttention(layer.attn, window, positions, shared)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images [B, C, H, W] into maps [B, embed_dims, h, w] of the layers in ``out_indices``."""
        # Set for the call, and until the next one for layers that run again in the backward.
        grid = token_grid(tuple(x.shape[-2:]), self.patch_embed.projection.stride)
        for layer in self.layers:
            layer.attn.grid = grid
        return super().forward(x)

    def _format_output(self, x: Tensor, hw: tuple[int, int]) -> Tensor:
        # mmcv's RoIAlign reads maps as if they were contiguous, whatever their strides.
        return tokens_to_map(x[:, x.shape[1] - hw[0] * hw[1]:], hw).contiguous()

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # mmpretrain's own reads the number of extra tokens off the module; a checkpoint may have been made without cls.
        name = f'{prefix}pos_embed'
        stored = state_dict.get(name)
        if stored is None or stored.shape == self.pos_embed.shape:
            return
        side = isqrt(stored.shape[1])
        if side**2 == stored.shape[1]:
            stored = torch.cat([stored.new_zeros(1, 1, stored.shape[2]), stored], dim=1)
        state_dict[name] = resize_position_embedding(stored, (side, side), self.patch_resolution, 1)
        print_log(f'{name}: position embedding resized from a grid of {side}x{side} to '
                  '{}x{}'.format(*self.patch_resolution), 'current')
