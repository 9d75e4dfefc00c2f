from typing import Any

from torch import Tensor

from ...errors import InputError
from ...ops import Calibration, FeatureNorm, check_feature_norm, dequantize, divide, normalize_features
from ...registry import MODELS
from .base import MapTarget


@MODELS.register_module()
class OfflineTarget(MapTarget):
    """Features that a teacher gave before the training, read from a store (FastMAE, Computational Visual Media 2025).

    Map [B, channels, H / cell, W / cell]. The pipeline reads them, with :class:`GridAlignedCrop`,
    :class:`LoadOfflineTarget` and :class:`PackInputs` of this package; the model knows no file.

    Args:
        channels: Width of the features.
        cell: Pixels per feature.
        norm: ``'patch'``: each channel over the crop's cells; ``'channel'``: each cell over its channels; ``'none'``.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: Unknown normalisation; from a call, no stored features, or those of another width or grid.
    """
    takes = frozenset({'features', 'scales', 'calibration'})
    needs = frozenset({'features'})

    def __init__(self, channels: int, cell: int = 16, norm: FeatureNorm = 'patch', **layout: Any) -> None:
        super().__init__(channels, cell, **layout)
        check_feature_norm(norm)
        self.norm = norm

    @property
    def remedy(self) -> str:
        return ('the pipeline needs mim_plugins.GridAlignedCrop, mim_plugins.LoadOfflineTarget and '
                'mim_plugins.PackInputs at its end, and images that do not come out of it have no stored features')

    def make(self, images: Tensor, features: Tensor, scales: Tensor | None = None,
             calibration: Tensor | None = None) -> Tensor:
        grid = divide(tuple(images.shape[-2:]), self.map_stride, 'features of the teacher')
        wanted = len(images), *grid, self.channels
        if tuple(features.shape) != wanted:
            raise InputError(f'stored features of {list(wanted)} (batch, rows, columns, channels) were expected for '
                             f'images of {images.shape[-2]}x{images.shape[-1]} with cell={self.map_stride}, but '
                             f'{list(features.shape)} came: do cell and channels agree with the store, and scale with '
                             'the input size?')
        if scales is not None:
            features = dequantize(features, scales, None if calibration is None else Calibration(
                *calibration[:, :, None, None].unbind(1)))
        return normalize_features(features.float().movedim(-1, 1), self.norm)
