"""What every target generator shares."""
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...ops import divide, patchify


class MapTarget(BaseModule):
    """A target made from normalised images, as a map or as tokens.

    Targets are computed in float32 whatever the surrounding autocast, and without gradient unless they have
    something to train.

    Args:
        channels: Channels C of the map; for classes the logits to predict per cell.
        map_stride: Pixels per cell of the map.
        layout: ``'map'`` gives [B, C, H / map_stride, W / map_stride]; ``'tokens'`` gives [B, N, C'],
            which is what mmpretrain's MaskFeat and MAE-like algorithms want of a ``target_generator``.
        stride: Side of a token in pixels for ``layout='tokens'``; a multiple of ``map_stride``.

    Attributes:
        channels_last: Order within a token's vector: (row, column, channel) or (channel, row, column).
        discrete: The map holds int64 classes [B, G, h, w] of G groups, each with ``channels / G`` classes.
        differentiable: ``make`` lets gradients through.
        trainable: It has parameters of its own.
        takes: What it may be given beside the images, by name; ``needs``: and what it cannot do without.

    Raises:
        InputError: Unknown layout, or a token that does not hold whole cells.
    """
    channels_last = False
    discrete = False
    differentiable = False
    trainable = False
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()

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

    @property
    def remedy(self) -> str:
        """What to do about a pipeline that hands on something else."""
        return 'leave LoadOfflineTarget and keep_middle out of the pipeline'

    @abstractmethod
    def make(self, images: Tensor, **given: Tensor) -> Tensor:
        """The map [B, C, H / map_stride, W / map_stride] of float32 images [B, 3, H, W]."""

    def to_images(self, values: Tensor, images: Tensor) -> Tensor | None:
        """Turn a target or prediction into colours to look at.

        Args:
            values: Map of this target, or a prediction of it: for classes their logits [B, channels, h, w].
            images: The normalised images [B, C, H, W] that it belongs to.

        Returns:
            Normalised images [B, C, H / map_stride, W / map_stride], or None if the target has no colours.
        """
        return None

    def watched(self) -> dict[str, Tensor]:
        """Detached values that a training's log should follow."""
        return {}

    def forward(self, images: Tensor, **given: Tensor) -> Tensor:
        """Make the target of a batch.

        Args:
            images: Normalised [B, C, H, W].
            **given: What the pipeline hands on for it, see ``takes``.

        Returns:
            See ``layout``.

        Raises:
            InputError: Something is missing, or was handed on for another target.
        """
        self.check_input_size(tuple(images.shape[-2:]))
        if not self.needs <= set(given) <= self.takes:
            raise InputError(
                f'{type(self).__name__} needs {_listed(self.needs)} of the pipeline and may take '
                f'{_listed(self.takes - self.needs)}, but got {_listed(given)}: {self.remedy}')
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()), torch.autocast(
                images.device.type, enabled=False):
            target = self.make(images.float(), **given)
        if self.layout == 'map':
            return target
        return patchify(target, self.stride // self.map_stride, self.channels_last)


def _listed(names: Iterable[str]) -> str:
    return ', '.join(sorted(names)) or 'nothing'


class ClassTarget(MapTarget):
    """Classes made from down-sampled intensities, whatever the normalisation of the run.

    Map int64 [B, groups, H / map_stride, W / map_stride]; goes with the criterion ``'CrossEntropy'``.

    Args:
        classes: Classes per group.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise.
        in_channels: Channels of the images.
        downsample: Side in pixels of the squares that are averaged before anything else.
        groups: Classes per cell.
        cell: Side of a cell in averaged pixels.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: Mean or std of another number of channels, or see :class:`MapTarget`.
    """
    discrete = True

    def __init__(self, classes: int, mean: Sequence[float], std: Sequence[float], in_channels: int = 3,
                 downsample: int = 1, groups: int = 1, cell: int = 1, **layout: Any) -> None:
        super().__init__(channels=groups * classes, map_stride=cell * downsample, **layout)
        for name, values in (('mean', mean), ('std', std)):
            if len(values) not in (1, in_channels):
                raise InputError(f"a target's {name} must hold 1 or {in_channels} numbers, but is {list(values)}")
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.downsample = downsample
        self.groups = groups

    def intensities(self, images: Tensor) -> Tensor:
        """Averaged pixels as they were before the normalisation, [B, C, H / downsample, W / downsample]."""
        return F.avg_pool2d(images, self.downsample) * self.std + self.mean

    def normalize(self, intensities: Tensor) -> Tensor:
        """Intensities [B, C, h, w] as the data preprocessor normalises them."""
        return (intensities - self.mean) / self.std

    def likeliest(self, values: Tensor) -> Tensor:
        """Classes [B, groups, h, w]: the values, or where they are logits [B, channels, h, w] the largest."""
        return values.unflatten(1, (self.groups, -1)).argmax(2) if values.is_floating_point() else values
