"""What frequencies reconstructions have, and what low-pass targets keep (PixMIM, arXiv 2303.02416, section 3)."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from torch import Tensor

from ..errors import InputError
from ..ops import filter_frequencies, low_pass, radial_frequencies
from ..ops.low_pass import Mode

if TYPE_CHECKING:
    from ..models import MaskedImageModel

_BATCH = 32
_ROUNDING = 1e-13  # mean square of what float32 leaves of equal intensities


def band_edges(size: tuple[int, int], number: int) -> list[float]:
    """Edges of bands of equal width from the mean to half the diagonal of images.

    Args:
        size: (H, W) in pixels.
        number: Bands.

    Returns:
        Number + 1 radii in cycles per image.

    Raises:
        InputError: No band.
    """
    if number < 1:
        raise InputError(f'at least one frequency band is needed, but {number} were asked for')
    return np.linspace(0, math.hypot(*size) / 2, number + 1).tolist()


def band_psnr(images: Tensor, reconstructions: Tensor, edges: Sequence[float]) -> np.ndarray:
    """PSNR of reconstructions within bands of frequencies.

    Both are filtered to each ring edges[i] <= radius < edges[i + 1] of the spectrum, the last one closed; what
    remains of their difference is taken over all pixels and channels.

    Args:
        images: [B, C, H, W] in [0, 1].
        reconstructions: The same.
        edges: Rising radii in cycles per image, from 0 to at most half the diagonal.

    Returns:
        Float64 [B, number of edges - 1] in dB for a range of 1; infinite where nothing but rounding differs.

    Raises:
        InputError: Other shapes, edges that do not rise or lie outside, or a band without any frequency.
    """
    if images.shape != reconstructions.shape or images.ndim != 4:
        raise InputError('images and reconstructions must have one shape [B, C, H, W], but have '
                         f'{list(images.shape)} and {list(reconstructions.shape)}')
    size = tuple(images.shape[-2:])
    half = math.hypot(*size) / 2
    rising = len(edges) > 1 and all(low < high for low, high in pairwise(edges))
    if not (rising and edges[0] >= 0 and edges[-1] <= half + 0.05):  # as one states it, with one decimal
        raise InputError(f'the edges of frequency bands must rise from at least 0 to at most {half:.1f}, half the '
                         f'diagonal of {size[0]}x{size[1]}, but are {[round(edge, 2) for edge in edges]}')
    difference = images.double() - reconstructions.double()
    distances = radial_frequencies(size, device=images.device)
    errors = []
    for low, high in pairwise(edges):
        rounding = 1e-9 if high == edges[-1] else -1e-9  # the last band is closed
        ring = (distances >= low - 1e-9) & (distances < high + rounding)
        if not ring.any():
            raise InputError(f'images of {size[0]}x{size[1]} have no frequency from {low:.2f} to {high:.2f}: take '
                             'fewer or wider bands')
        errors.append(filter_frequencies(difference, ring).square().mean((1, 2, 3)))
    error = torch.stack(errors, dim=1).cpu().numpy()
    with np.errstate(divide='ignore'):
        return -10 * np.log10(np.where(error < _ROUNDING, 0, error))


def band_course(model: MaskedImageModel, paths: Sequence[Path], edges: Sequence[float] | int,
                cfg: Config | None = None, seed: int = 0) -> tuple[list[float], np.ndarray]:
    """PSNR per band of a model's reconstructions of images, under masks that are the same each time.

    A reconstruction is the image with the prediction in its masked places, both as intensities cut to [0, 1].

    Args:
        model: A model whose target has colours.
        paths: Images.
        edges: As for :func:`band_psnr`, at the model's input size, or the number of bands of equal width.
        cfg: Config of the run, whose own loader then reads the files.
        seed: Chooses the masks.

    Returns:
        The edges, and PSNR in dB [number of images, bands].

    Raises:
        InputError: The target has no colours.
    """
    from .held_out import fixed_masks
    from .pictures import intensities, reconstruct
    from .runs import input_batches
    edges = band_edges(model.input_size, edges) if isinstance(edges, int) else list(edges)
    found = []
    for start, inputs in input_batches(model, paths, _BATCH, cfg):
        result = reconstruct(model, inputs, fixed_masks(model, len(inputs), seed + start))
        if 'pasted' not in result:
            raise InputError(f'PSNR needs a target with colours, which {type(model.target_generator).__name__} has not')
        found.append(band_psnr(*(intensities(part, model) for part in (inputs, result['pasted'])), edges))
    return edges, np.concatenate(found)


def mean_and_deviation(psnr: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over images [n] in dB, without those of infinite PSNR unless all are."""
    known = psnr[~np.isposinf(psnr)]
    return (float(known.mean()), float(known.std())) if len(known) else (math.inf, 0.)


def band_figure(courses: Mapping[str, tuple[Sequence[float], np.ndarray]]) -> Figure:
    """PSNR over the frequency, one line per name, with the standard deviation over the images.

    Args:
        courses: Name -> edges and PSNR [images, bands] as :func:`band_course` gives them; infinite ones are left
            out.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    figure, axis = plt.subplots(figsize=(6, 4), layout='constrained')
    for name, (edges, values) in courses.items():
        middle = (np.asarray(edges[1:]) + np.asarray(edges[:-1])) / 2
        mean, spread = np.array([mean_and_deviation(column) for column in values.T]).T
        line, = axis.plot(middle, mean, marker='o', label=name)
        axis.fill_between(middle, mean - spread, mean + spread, color=line.get_color(), alpha=.15)
    axis.set(xlabel='radius of the frequency, cycles per image', ylabel='PSNR of the band, dB')
    axis.legend()
    return figure


def low_pass_figure(images: Tensor, radii: Sequence[float], mode: Mode = 'paper', high_pass: bool = False,
                    reference_size: int | None = None) -> Figure:
    """Pictures beside what a low-pass filter leaves of them, one row per picture, one column per radius.

    Args:
        images: [B, C, H, W] in [0, 1]; of more than three channels the first three are shown, of fewer the first.
        radii: In cycles per image, or per ``reference_size`` px.
        mode: As for :func:`mim_plugins.ops.low_pass`.
        high_pass: Show what the filter takes away, around grey.
        reference_size: As for :func:`mim_plugins.ops.low_pass`.

    Returns:
        A matplotlib figure, for the caller to save and close.

    Raises:
        InputError: See :func:`mim_plugins.ops.low_pass`.
    """
    images = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    columns = {'input': images} | {
        f'radius {radius:g}': low_pass(images, radius, mode, high_pass, reference_size) + high_pass / 2
        for radius in radii}
    figure, axes = plt.subplots(len(images), len(columns), figsize=(2 * len(columns), 2 * len(images)), squeeze=False,
                                layout='compressed')
    for place, (title, pictures) in enumerate(columns.items()):
        axes[0, place].set_title(title)
        for axis, picture in zip(axes[:, place], pictures, strict=True):
            axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy(), interpolation='nearest')
            axis.set_axis_off()
    return figure
