"""Features in eight bits: one scale for each token, after an optional calibration of each channel."""
from typing import NamedTuple

import torch
from torch import Tensor

_LARGEST = 127


class Calibration(NamedTuple):
    """What each channel is shifted and divided by before it is quantised.

    Channels of a teacher differ by orders of magnitude; without this the largest one decides the step of all.

    Attributes:
        shift: Float32 [C].
        scale: Float32 [C], positive.
    """
    shift: Tensor
    scale: Tensor


def calibrate(mean: Tensor, variance: Tensor) -> Calibration:
    """Calibration of channels with these statistics, float32 [C]; constant ones are only shifted."""
    scale = variance.sqrt()
    return Calibration(mean, torch.where(scale > 1e-6, scale, torch.ones_like(scale)))


def quantize(features: Tensor, calibration: Calibration | None = None) -> tuple[Tensor, Tensor]:
    """Round features to int8.

    Args:
        features: [..., C].
        calibration: Of the channels.

    Returns:
        Int8 [..., C] in -127..127, and float32 scales [...] that one step stands for.
    """
    values = features.float()
    if calibration is not None:
        values = (values - calibration.shift) / calibration.scale
    scales = values.abs().amax(-1) / _LARGEST
    steps = torch.where(scales > 0, scales, torch.ones_like(scales)).unsqueeze(-1)
    return (values / steps).round().to(torch.int8), scales


def dequantize(values: Tensor, scales: Tensor, calibration: Calibration | None = None) -> Tensor:
    """Float32 [..., C] of what :func:`quantize` gave; shift and scale of the calibration may be [B, 1, ..., C]."""
    features = values.float() * scales.unsqueeze(-1)
    return features if calibration is None else features * calibration.scale + calibration.shift
