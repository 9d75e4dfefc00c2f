import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ...ops import (
    FeatureNorm,
    check_feature_norm,
    crop_maps,
    divide,
    map_to_tokens,
    normalize_features,
    tokens_to_map,
)
from ...registry import MODELS
from ..backbones.blocks import BlockOutputs, transformer_blocks
from .frozen import FrozenNetworkTarget, frozen_network

Precision = Literal['float32', 'bfloat16', 'float16']


@MODELS.register_module()
class TeacherTarget(FrozenNetworkTarget):
    """Features that a frozen teacher gives the whole, unmasked image, while the student trains.

    Map [B, channels, H / cell, W / cell]. The teacher is no submodule, see :class:`FrozenNetworkTarget`. If the
    pipeline hands on middle images (``GridAlignedCrop(keep_middle=True)``), it looks at those, and the target is the
    crop's part of their features: the same as :class:`OfflineTarget`'s.

    Args:
        teacher: Config of an encoder whose last output is a map or tokens: a ViT of mmpretrain wants
            ``out_type='raw'``, one of timm is a :class:`TIMMEncoder`.
        channels: Width of its features.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise.
        cell: Pixels per feature.
        checkpoint: Local file with the teacher's weights, see :func:`frozen_network`.
        random_weights: Go without weights, for tests and dry runs; they are the same in every run.
        teacher_mean: What the teacher expects to be subtracted from intensities of 0 to 255; None is ``mean``.
        teacher_std: What it expects them to be divided by; None is ``std``.
        teacher_patch: Pixels per feature of the teacher itself, if they are not ``cell``: it then gets the images
            resized (bicubic) until their grid is that of the cells, as DINOv2 with 14 for 16.
        layer: Take the output of this block, counted from 0 or back from -1, without the norm behind the last; None is
            the encoder's own output. For encoders with a sequence of transformer blocks.
        norm: ``'patch'``: each channel over the cells of the image or crop; ``'channel'``: each cell over its channels;
            ``'none'``.
        dtype: Arithmetic of the teacher, by autocast.
        from_middle: Refuse batches without middle images, where features of the crop alone would be another target.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: No weights, or weights that do not fit, no such layer, or an unknown option; from a call, features
            of another width or grid.
    """
    takes = frozenset({'middle', 'grid_box'})

    def __init__(self, teacher: dict, channels: int, mean: Sequence[float], std: Sequence[float], cell: int = 16,
                 checkpoint: str | Path | None = None, random_weights: bool = False,
                 teacher_mean: Sequence[float] | None = None, teacher_std: Sequence[float] | None = None,
                 teacher_patch: int | None = None, layer: int | None = None, norm: FeatureNorm = 'none',
                 dtype: Precision = 'float32', from_middle: bool = False, **layout: Any) -> None:
        super().__init__(channels, cell, **layout)
        check_feature_norm(norm)
        if dtype not in get_args(Precision):
            raise InputError(f"the teacher's dtype must be one of {', '.join(get_args(Precision))}, but is {dtype!r}")
        for name, value, least in (('cell', cell, 1), ('teacher_patch', teacher_patch, 1), ('layer', layer, None)):
            if value is not None and (not isinstance(value, int) or (least and value < least)):
                raise InputError(f"the teacher's {name} must be a {'positive ' if least else ''}whole number, but is "
                                 f'{value!r}')
        self.hold(frozen_network(teacher, checkpoint, random_weights, 'teacher'))
        arch = teacher.get('arch', '')
        self.name = teacher.get('model_name') or ' '.join([type(self.network).__name__, *([arch] if isinstance(
            arch, str) and arch else [])])
        self._own_patch = teacher_patch or cell
        self._size: tuple[int, int] | None = None
        self._layer = layer
        self._check_layer()
        self._seen = None if layer is None else BlockOutputs([transformer_blocks(self.network)[layer]])
        self.norm = norm
        self.dtype = getattr(torch, dtype)
        for name, values in dict(mean=mean, std=std, teacher_mean=teacher_mean, teacher_std=teacher_std).items():
            if values is not None and not all(isinstance(value, (int, float)) for value in values):
                raise InputError(f"the teacher's {name} must hold numbers, but is {values!r}")
        lengths = {len(values) for values in (mean, std, teacher_mean, teacher_std) if values is not None} - {1}
        if len(lengths) > 1:
            raise InputError('mean and std of the teacher and of the run must have one number or as many as each '
                             f'other, but have {" and ".join(map(str, sorted(lengths)))}')
        self._config = {name: value for name, value in teacher.items() if name not in ('pretrained', 'init_cfg')}
        self.needs = self.takes if from_middle else frozenset()
        self._expects = dict(mean=list(teacher_mean or mean), std=list(teacher_std or std))
        mean, std, teacher_mean, teacher_std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (mean, std, teacher_mean or mean, teacher_std or std))
        # From the run's normalisation to the teacher's in one step.
        self.register_buffer('scale', std / teacher_std, persistent=False)
        self.register_buffer('shift', (mean - teacher_mean) / teacher_std, persistent=False)

    def _check_layer(self) -> None:
        blocks = transformer_blocks(self.network)
        if self._layer is not None and (not blocks or not -len(blocks) <= self._layer < len(blocks)):
            has = f'{len(blocks)} blocks' if blocks else 'no sequence of blocks'
            raise InputError(f'the teacher has {has} to take features from, but layer is {self._layer}')

    @property
    def remedy(self) -> str:
        return ('it looks at the images, or at what mim_plugins.GridAlignedCrop(keep_middle=True) and '
                'mim_plugins.PackInputs hand on')

    def describe(self) -> dict:
        """Whose features these are, as a store notes it: all that they depend on but the images."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return dict(name=self.name, config=self._config, sha256=digest.hexdigest(), layer=self._layer,
                    patch=self._own_patch, dtype=str(self.dtype).removeprefix('torch.'), **self._expects)

    def features(self, images: Tensor) -> Tensor:
        """Features [B, channels, H / cell, W / cell] in float32 of images [B, C, H, W], not normalised.

        The images are normalised as the data preprocessor leaves them.
        """
        grid = divide(tuple(images.shape[-2:]), self.map_stride, 'features of the teacher')
        if len(self.scale) not in (1, images.shape[1]):
            raise InputError(f'mean and std of the teacher or of the run have {len(self.scale)} numbers, but the '
                             f'images {images.shape[1]} channels')
        images = images * self.scale + self.shift
        if self._own_patch != self.map_stride:
            size = [side * self._own_patch for side in grid]
            images = F.interpolate(images, size, mode='bicubic', antialias=True, align_corners=False)
        size = tuple(images.shape[-2:])
        if size != self._size and hasattr(self.network, 'set_input_size'):
            self.network.set_input_size(size)
        self._size = size
        with torch.no_grad(), torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if self._seen is None:
                found = self.network(images)
            else:
                with self._seen.kept() as seen:
                    self.network(images)
                found = seen[0]
        return self._as_map((found if isinstance(found, Tensor) else found[-1]).float(), grid)

    def _as_map(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        number, extra = grid[0] * grid[1], getattr(self.network, 'num_extra_tokens', 0)
        tokens = map_to_tokens(features) if features.ndim == 4 else features[:, extra:]
        if tuple(tokens.shape[1:]) != (number, self.channels):
            raise InputError(f'the teacher was said to give {self.channels} channels on a grid of {grid[0]}x{grid[1]} '
                             f'(cell={self.map_stride}), but gave {list(features.shape)} with {extra} extra tokens')
        return tokens_to_map(tokens, grid)

    def make(self, images: Tensor, middle: Tensor | None = None, grid_box: Tensor | None = None) -> Tensor:
        if middle is None:
            return normalize_features(self.features(images), self.norm)
        grid = divide(tuple(images.shape[-2:]), self.map_stride, 'features of the teacher')
        return normalize_features(crop_maps(self.features(middle.float()), grid_box, grid), self.norm)
