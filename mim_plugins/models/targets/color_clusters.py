from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...ops.colors import nearest_colors
from ...registry import MODELS
from .base import ClassTarget


def _read(centers: str | Path | Sequence[Sequence[float]]) -> np.ndarray:
    """A palette from a file or from rows of numbers, as float64."""
    source = 'the rows given'
    try:
        if isinstance(centers, (str, Path)):
            source = centers
            centers = np.load(centers)
        if isinstance(centers, np.lib.npyio.NpzFile):
            with centers as stored:
                centers = stored['centers']
        return np.asarray(centers, np.float64)
    except FileNotFoundError as error:
        raise InputError(f'no colour clusters at {source}: make them with tools/fit_color_clusters.py') from error
    except (ValueError, KeyError, EOFError, OSError, BadZipFile) as error:
        raise InputError('expected colour clusters as rows of numbers, in a .npz under the name centers or in a .npy, '
                         f'but cannot read {source}: {error}') from error


@MODELS.register_module()
class ColorClusterTarget(ClassTarget):
    """The nearest colour of a palette, such as 512 clusters of k-means (SimMIM, arXiv 2111.09886, section 3.4).

    Map [B, 1, H / downsample, W / downsample] of classes 0..K-1. Nearness is the Euclidean distance of
    intensities before the normalisation, so that one palette serves runs of any ``mean`` and ``std``.

    The palette is part of the state dict: a checkpoint's replaces the one given here.

    Args:
        centers: The palette: a ``.npz`` of ``tools/fit_color_clusters.py``, a ``.npy``, or rows of in_channels
            intensities, 0..255 for 8-bit images, in the order of channels that the model sees (RGB with
            ``to_rgb=True``). A number of colours instead leaves them to the checkpoint.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise.
        in_channels: Channels of the images.
        **options: ``downsample``, ``layout`` and ``stride`` of :class:`ClassTarget`.

    Raises:
        InputError: No file with centres, or no palette of at least two colours with these channels; from a
            call, no checkpoint brought the palette.
    """

    def __init__(self, centers: str | Path | Sequence[Sequence[float]] | int, mean: Sequence[float],
                 std: Sequence[float], in_channels: int = 3, **options: Any) -> None:
        pending = isinstance(centers, int)
        palette = np.zeros((max(centers, 0), in_channels)) if pending else _read(centers)
        if palette.ndim != 2 or len(palette) < 2 or palette.shape[1] != in_channels:
            raise InputError(f'colour clusters must be at least 2 rows of {in_channels} intensities, but have the '
                             f'shape {palette.shape}')
        if not np.isfinite(palette).all():
            raise InputError('colour clusters must be finite numbers, but some are not')
        super().__init__(len(palette), mean, std, in_channels, **options)
        self.register_buffer('centers', torch.tensor(palette, dtype=torch.float32))
        self._pending = pending

    def make(self, images: Tensor) -> Tensor:
        return nearest_colors(self.intensities(images), self._palette())[:, None]

    def to_images(self, values: Tensor, images: Tensor) -> Tensor:
        colors = self._palette()[self.likeliest(values)[:, 0]]
        return self.normalize(colors.movedim(-1, 1))

    def _palette(self) -> Tensor:
        if self._pending:
            raise InputError(f'ColorClusterTarget(centers={len(self.centers)}) waits for a checkpoint with that many '
                             'colours, but none was loaded: give a file of centres')
        return self.centers

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._pending = self._pending and f'{prefix}centers' not in state_dict
