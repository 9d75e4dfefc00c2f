"""ResNets that keep the two images of a mixed one apart: partial convolutions, once for each image.

MixMIM (arXiv 2205.13137, ConvNets paragraph) takes partial convolution (arXiv 1804.07723) for each group of places.
Pooling and normalisation would join the groups too; what becomes of them is our own.
"""
import math
import re
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import ConvModule, ConvWS2d, DropPath
from mmpretrain.models import ResNet
from mmpretrain.models.backbones import resnet as mmpretrain_resnet
from mmpretrain.models.utils import LayerNorm2d, to_2tuple
from timm import layers as timm_layers
from timm.models import FeatureListNet, resnet, resnetv2
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS
from .mixed_norms import NORMS
from .place_groups import PlaceGroups
from .stages import check_groups
from .timm import TIMMEncoder

# Subclasses are none of them: they may pad or read in their own way.
_WINDOWED = {nn.Conv2d, ConvWS2d, timm_layers.StdConv2d, timm_layers.ScaledStdConv2d, nn.MaxPool2d, nn.AvgPool2d}
_BY_PLACE = {nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, DropPath,
             LayerNorm2d, timm_layers.DropPath, timm_layers.LayerNorm2d, timm_layers.LayerNormAct2d}
# They do nothing to a map but call their parts, as do all blocks of the modules below.
_CONTAINERS = {nn.Sequential, ConvModule, FeatureListNet, timm_layers.ClassifierHead, timm_layers.SelectAdaptivePool2d}
_BLOCKS = {part.__name__ for part in (mmpretrain_resnet, resnet, resnetv2)}


class _Windows:
    """Hooks of a convolution or pool whose windows overlap: it is called with each group by itself.

    Both groups see a ``border`` of zeros that already surrounds the maps of a max pool.
    """

    def __init__(self, places: PlaceGroups, module: nn.Module, border: int) -> None:
        self.places = places
        self.border = border
        self.windows = tuple(to_2tuple(part) for part in (module.kernel_size, module.stride, module.padding))
        module.register_forward_pre_hook(self.split)
        module.register_forward_hook(self.join)

    def split(self, module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Maps [B, C, H, W] twice, [2B, C, H, W]: without the partner's places, then with them alone."""
        if self.places.units is None:
            return None
        maps, = inputs
        hidden = torch.finfo(maps.dtype).min if isinstance(module, nn.MaxPool2d) else 0
        partner = self.places.at((maps.shape[-2] - 2 * self.border, maps.shape[-1] - 2 * self.border))
        return torch.cat([maps.masked_fill(F.pad(others, (self.border, ) * 4), hidden)
                          for others in (partner, ~partner)]),

    def join(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        """Each place from its own group, as if the window saw nothing but places of that group."""
        if self.places.units is None:
            return None
        own, partners = output.chunk(2)
        joined = torch.where(self.places.at(tuple(own.shape[-2:])), partners, own)
        if isinstance(module, nn.MaxPool2d):
            return joined
        share = self.places.shares(tuple(inputs[0].shape[-2:]), self.windows).to(joined.dtype)
        bias = getattr(module, 'bias', None)
        if bias is None:
            return joined / share
        bias = bias.to(joined.dtype)[:, None, None]
        return joined / share + (bias - bias / share)  # the bias has no part in the division


def _overlaps(name: str, module: nn.Module, border: int) -> bool:
    """Whether windows look at places of other windows; an InputError if they do not keep places in line."""
    kernel, stride, padding, dilation = (to_2tuple(part) for part in (
        module.kernel_size, module.stride, module.padding, getattr(module, 'dilation', 1)))
    extent = ((side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True))
    if padding == (0, 0) and not border and all(side <= step for side, step in zip(extent, stride, strict=True)):
        return False
    in_line = not isinstance(padding, str) and all(
        0 <= 2 * (pad + border) - side + step < step for side, step, pad in zip(kernel, stride, padding, strict=True))
    if (not in_line or dilation != (1, 1) or getattr(module, 'ceil_mode', False)
            or getattr(module, 'padding_mode', 'zeros') != 'zeros'):
        raise InputError(
            'mixed convolutions need windows without dilation, padded alike with zeros on all sides so that each side '
            f'of a map is divided by the stride, but {name} is {module}')
    return True


class MixedConvolutions:
    """Makes an encoder of convolutions keep two images apart (MixMIM, arXiv 2205.13137, ConvNets).

    A place belongs to one image and sees that image's places only. Convolutions with overlap are partial ones (arXiv
    1804.07723): what they give is divided by the share of the window's places that are of the group, as are average
    pools; max pools ignore the other's places, and norms take statistics for each group. Names and shapes of the state
    dict are the parent's, and so is what comes out for one image.

    Attributes:
        group_stride: Side in pixels of the smallest unit that no stage merges with its neighbours.

    Raises:
        InputError: When it is built, a part that would join the two images.
    """
    mixes_convolutions = True

    def __init__(self, *args: Any, **options: Any) -> None:
        self._places = PlaceGroups()
        super().__init__(*args, **options)
        border = 0
        for name, module in list(self.named_modules())[1:]:
            kind = type(module)
            if border and kind is not nn.MaxPool2d:
                raise InputError(f'a ConstantPad2d must stand in front of a MaxPool2d, but {name} is a {kind.__name__}')
            if kind is nn.ConstantPad2d and module.value == 0 and len({*module.padding}) == 1:
                border = module.padding[0]
                continue
            if kind in NORMS:
                module.__class__ = NORMS[kind]
                module.places = self._places
            elif kind in _WINDOWED:
                if _overlaps(name, module, border):
                    _Windows(self._places, module, border)
            elif kind not in _BY_PLACE | _CONTAINERS and kind.__module__ not in _BLOCKS:
                raise InputError(
                    'mixed convolutions keep two images apart in Conv2d, MaxPool2d, AvgPool2d, BatchNorm2d, GroupNorm '
                    f'and what works on each place by itself, but {name} is a {kind.__name__}')
            border = 0

    def stage_entries(self) -> list[tuple[nn.Module, int]]:
        """Module that each stage's maps come into first, and their width."""
        trunk = getattr(self, 'timm_model', self)
        stages = getattr(trunk, 'stages', None) or [
            part for name, part in trunk.named_children() if re.fullmatch(r'layer\d', name)]
        return [(stage, next(part.in_channels for part in stage.modules() if isinstance(part, nn.Conv2d)))
                for stage in stages]

    def forward(self, images: Tensor, groups: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode.

        Args:
            images: [B, C, H, W].
            groups: Bool [B, h, w] of units of a multiple of ``group_stride`` pixels, True = the partner's: each place
                sees those of its own group only. None joins all.

        Returns:
            Maps, as the parent's.

        Raises:
            InputError: Groups that cannot be kept apart, or BatchNorm that became SyncBatchNorm.
        """
        check_groups(groups, images, self.group_stride)
        if groups is not None and any(isinstance(module, nn.SyncBatchNorm) for module in self.modules()):
            raise InputError('mixed convolutions need BatchNorm, but it became SyncBatchNorm: leave out sync_bn')
        # They stay until the next call, for activation checkpointing runs the blocks again in the backward: a backward
        # has to come before the next forward.
        self._places.set(groups)
        return super().forward(images)


@MODELS.register_module()
class MixedResNet(MixedConvolutions, ResNet):
    """mmpretrain's ResNet, BatchNorm or GroupNorm, as :class:`MixedConvolutions`.

    Arguments are mmpretrain's: ``stem_channels=192, base_channels=192`` make it three times wider. With GroupNorm an
    image's features depend on no other image of the batch.
    """

    @property
    def group_stride(self) -> int:
        return 4 * math.prod(self.strides)


@MODELS.register_module()
class MixedTIMMEncoder(MixedConvolutions, TIMMEncoder):
    """timm's ResNets and ResNetV2s, as :class:`MixedConvolutions`.

    BiT's ``resnetv2_50x3_bit`` and ``resnetv2_101x3_bit`` among them, which have GroupNorm. Arguments are those of
    :class:`TIMMEncoder`.
    """

    @property
    def group_stride(self) -> int:
        known = self.timm_model.feature_info
        return max(stage['reduction'] for stage in getattr(known, 'info', known))
