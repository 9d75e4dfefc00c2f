"""Ideal circular low-pass filter, as PixMIM makes its targets (arXiv 2303.02416, section 4.1).

Deviation from the released generator: its circle lies half a step beside the mean's place in the spectrum, so that the
result is complex, and its absolute value folds negative values up. Mode ``'paper'`` is the real, centred filter;
``'reference'`` gives the released values.
"""
import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import InputError

Mode = Literal['paper', 'reference']


def radial_frequencies(size: tuple[int, int], reference_size: int | None = None,
                       device: torch.device | None = None) -> Tensor:
    """Distance of each coefficient of a real FFT from the mean.

    Args:
        size: The images' (H, W).
        reference_size: None counts in cycles per image, so that a circle on the spectrum of a rectangle is one of
            coefficients; a number of pixels counts in cycles per so many pixels, the same along both axes.
        device: Where the result is made.

    Returns:
        Float64 [H, W // 2 + 1], 0 at [0, 0], at most half the image's diagonal.
    """
    rows = torch.fft.fftfreq(size[0], dtype=torch.float64, device=device) * (reference_size or size[0])
    columns = torch.fft.rfftfreq(size[1], dtype=torch.float64, device=device) * (reference_size or size[1])
    return torch.hypot(rows[:, None], columns)


def filter_frequencies(images: Tensor, gain: Tensor) -> Tensor:
    """Multiply the real spectrum of images.

    Args:
        images: Float32 [..., H, W], any range.
        gain: [H, W // 2 + 1], one factor for each coefficient of the real FFT.

    Returns:
        Like the images.
    """
    return torch.fft.irfft2(torch.fft.rfft2(images) * gain.to(images), s=images.shape[-2:])


def check_radius(radius: float, size: tuple[int, int], reference_size: int | None = None) -> None:
    """Raise an InputError if a radius does not lie between 0 and half the diagonal of images of ``size`` (H, W).

    ``reference_size`` as in :func:`radial_frequencies`: the diagonal is then that of a square of this side.
    """
    if reference_size is not None and reference_size < 1:
        raise InputError(f'the size that a radius is stated for must be at least 1 px, but is {reference_size}')
    if not isinstance(radius, (int, float)):
        raise InputError(f'the radius of a low-pass filter must be a number, but is {radius!r}')
    sides = (reference_size, reference_size) if reference_size else size
    half = math.hypot(*sides) / 2
    if not 0 <= radius <= half + 0.05:  # as one states it, with one decimal
        raise InputError(f'the radius of a low-pass filter must lie between 0 and {half:.1f}, half the diagonal of '
                         f'{sides[0]}x{sides[1]}, but is {radius:g}')


def _reference(images: Tensor, radius: float, reference_size: int | None) -> Tensor:
    """The released generator: circle around (side - 1) / 2 of the shifted spectrum, then absolute values."""
    rows, columns = (
        (torch.arange(side, dtype=torch.float64, device=images.device) - (side - 1) / 2) * (
            (reference_size or side) / side) for side in images.shape[-2:])
    circle = torch.hypot(rows[:, None], columns) <= radius
    spectrum = torch.fft.fftshift(torch.fft.fft2(images), dim=(-2, -1)) * circle
    return torch.fft.ifft2(spectrum).abs()  # the shift left in place changes phases only


def low_pass(images: Tensor, radius: float, mode: Mode = 'paper', high_pass: bool = False,
             reference_size: int | None = None) -> Tensor:
    """Keep the frequencies up to a radius.

    Computed in float32 whatever the input's type or the surrounding autocast.

    Args:
        images: [B, C, H, W]; any range in mode ``'paper'``, intensities from 0 in ``'reference'``.
        radius: In cycles per image, between 0 (the mean alone) and half the diagonal (nothing changes).
        mode: ``'paper'`` or ``'reference'``, see the module's head.
        high_pass: Give what the low-pass filter takes away (mode ``'paper'``).
        reference_size: If given, the radius counts in cycles per so many pixels: one stated at 224 px scales with
            the images, and rectangles are filtered alike along both axes.

    Returns:
        Float32 [B, C, H, W].

    Raises:
        InputError: The radius is out of range, the mode unknown, or a high-pass filter asked of ``'reference'``.
    """
    if mode not in get_args(Mode):
        raise InputError(f'the mode of a low-pass filter must be one of {", ".join(get_args(Mode))}, but is {mode!r}')
    if high_pass and mode == 'reference':
        raise InputError("there is a high-pass filter in mode 'paper' only, but the mode is 'reference'")
    size = tuple(images.shape[-2:])
    check_radius(radius, size, reference_size)
    with torch.autocast(images.device.type, enabled=False):
        images = images.float()
        if mode == 'reference':
            return _reference(images, radius, reference_size)
        inside = radial_frequencies(size, reference_size, images.device) <= radius + 1e-9  # rounding
        return filter_frequencies(images, inside ^ high_pass)
