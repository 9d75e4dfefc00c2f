"""What every target generator shares."""
from abc import abstractmethod
from typing import Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...ops import divide, patchify


class MapTarget(BaseModule):
    """A target made from normalised images, as a map or as tokens.

    Targets are computed in float32 without gradient, whatever the surrounding autocast.

    Args:
        channels: Channels C of the map; for classes the logits to predict per cell.
        map_stride: Pixels per cell of the map.
        layout: ``'map'`` gives [B, C, H / map_stride, W / map_stride]; ``'tokens'`` gives [B, N, C'],
            which is what mmpretrain's MaskFeat and MAE-like algorithms want of a ``target_generator``.
        stride: Side of a token in pixels for ``layout='tokens'``; a multiple of ``map_stride``.

    Attributes:
        channels_last: Order within a token's vector: (row, column, channel) or (channel, row, column).
        discrete: The map holds int64 classes [B, G, h, w] of G groups, each with ``channels / G`` classes.

    Raises:
        InputError: Unknown layout, or a token that does not hold whole cells.
    """
    channels_last = False
    discrete = False

    def __init__(self, channels: int, map_stride: int, layout: Literal['map', 'tokens'] = 'map',
                 stride: int = 16) -> None:
        super().__init__()
        if map_stride < 1:
            raise InputError(f'a target cell must be at least 1 px, but is {map_stride}')
        if layout not in ('map', 'tokens'):
            raise InputError(f"a target's layout must be 'map' or 'tokens', but is {layout!r}")
        if layout == 'tokens' and stride % map_stride:
            raise InputError(f'tokens of {stride} px cannot hold whole target cells of {map_stride} px')
        self.channels = channels
        self.map_stride = map_stride
        self.layout = layout
        self.stride = stride

    def check_input_size(self, size: tuple[int, int]) -> None:
        """Raise an InputError if images of ``size`` (H, W) have no such target."""
        divide(size, self.map_stride, 'target cells')

    @abstractmethod
    def make(self, images: Tensor) -> Tensor:
        """The map [B, C, H / map_stride, W / map_stride] of float32 images [B, 3, H, W]."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Make the target of normalised images [B, C, H, W]; see ``layout`` for the result's shape."""
        with torch.autocast(images.device.type, enabled=False):
            target = self.make(images.float())
        if self.layout == 'map':
            return target
        return patchify(target, self.stride // self.map_stride, self.channels_last)
