"""Feature maps of teachers: parts of them, and how they are normalised."""
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError

FeatureNorm = Literal['patch', 'channel', 'none']


def crop_maps(maps: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a part of the same size out of each map.

    Args:
        maps: [B, C, H, W].
        boxes: Integers [B, 4], (top, left, bottom, right) in cells; only the first two are read, so that nothing has
            to wait for the device.
        size: (h, w) of the parts in cells.

    Returns:
        [B, C, h, w].
    """
    boxes = boxes.long()
    rows = boxes[:, :1] + torch.arange(size[0], device=maps.device)
    columns = boxes[:, 1:2] + torch.arange(size[1], device=maps.device)
    batch = torch.arange(len(maps), device=maps.device)
    parts = maps.movedim(1, -1)[batch[:, None, None], rows[:, :, None], columns[:, None, :]]
    return parts.movedim(-1, 1)


def check_feature_norm(norm: str) -> None:
    """Raise an InputError if there is no such normalisation."""
    if norm not in get_args(FeatureNorm):
        raise InputError(f'features are normalised by one of {", ".join(get_args(FeatureNorm))}, but by {norm!r} was '
                         'asked for')


def normalize_features(maps: Tensor, norm: FeatureNorm, eps: float = 1e-6) -> Tensor:
    """Give features zero mean and unit variance (FastMAE, Computational Visual Media 2025).

    Args:
        maps: [B, C, h, w].
        norm: ``'patch'``: each channel over all cells of an image; ``'channel'``: each cell over its channels;
            ``'none'``: as they are.
        eps: Added to the variance, which is the biased one.

    Returns:
        [B, C, h, w].

    Raises:
        InputError: Unknown normalisation, or a single value to normalise over.
    """
    check_feature_norm(norm)
    if norm == 'none':
        return maps
    channels, cells = maps.shape[1], maps.shape[2] * maps.shape[3]
    if (cells if norm == 'patch' else channels) < 2:
        raise InputError(f'norm={norm!r} needs more than one value to normalise over, but the features have '
                         f'{channels} channels and {cells} cells')
    if norm == 'patch':
        return F.instance_norm(maps, eps=eps)
    return F.layer_norm(maps.movedim(1, -1), (channels, ), eps=eps).movedim(-1, 1)
