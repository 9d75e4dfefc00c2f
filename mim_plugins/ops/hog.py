"""Histograms of oriented gradients as FastMIM uses them (arXiv 2212.06593).

Per channel: Sobel gradients, hard magnitude votes into orientation bins, sums over cells, L2 norm over
the bins of each cell and channel. No Gaussian, no block normalisation.

Deviation from the released layer: gradients are differences of equally smoothed neighbours, so that
flat regions are exactly 0 (the released convolution leaves rounding noise there, which the norm blows
up to unit vectors).
"""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError

# Pixels worked on at once on a CPU.
_CPU_PIECE = 2**18


def _sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel responses (left - right, top - bottom) of [N, H, W], reflected at the border."""
    padded = F.pad(images, (1, 1, 1, 1), mode='reflect')
    columns = padded[:, :-2] + padded[:, 2:]
    columns.add_(padded[:, 1:-1], alpha=2)
    gx = columns[:, :, :-2] - columns[:, :, 2:]
    rows = padded[:, :, :-2] + padded[:, :, 2:]
    rows.add_(padded[:, :, 1:-1], alpha=2)
    gy = rows[:, :-2] - rows[:, 2:]
    return gx, gy


def _cell_bins(height: int, width: int, bins: int, cell: int, device: torch.device) -> Tensor:
    """Index of bin 0 of each pixel's cell in a flat (cells, bins) histogram, [H, W]."""
    rows = torch.arange(height, device=device).div_(cell, rounding_mode='floor') * (width // cell)
    columns = torch.arange(width, device=device).div_(cell, rounding_mode='floor')
    return (rows[:, None] + columns) * bins


def _vote(images: Tensor, cell_bins: Tensor, bins: int, cells: int) -> Tensor:
    """Magnitudes of [N, H, W] summed into the bins of their cells, [N, cells * bins]."""
    gx, gy = _sobel(images.float())
    magnitude = torch.hypot(gx, gy)
    orientation = torch.atan2(gx, gy).div_(math.pi).mul_(bins).floor_()
    # Half turns are the same orientation: -bins..bins becomes 0..bins-1, without a slow remainder.
    orientation.add_(orientation < 0, alpha=bins)
    orientation.masked_fill_(orientation >= bins, 0)
    index = orientation.to(torch.int64).add_(cell_bins)
    histogram = magnitude.new_zeros(len(images), cells * bins)
    return histogram.scatter_add_(1, index.flatten(1), magnitude.flatten(1))


def hog(images: Tensor, bins: int = 9, cell: int = 8, normalize: bool = True) -> Tensor:
    """Histograms of oriented gradients of every channel.

    Computed in float32 whatever the input's type or the surrounding autocast.

    Args:
        images: [B, C, H, W], any range; H and W divisible by ``cell`` and at least 2.
        bins: Orientations over half a turn. A vertical edge votes for bin ``bins // 2``, a horizontal
            one for bin 0.
        cell: Side of a cell in pixels.
        normalize: Divide each cell and channel by its L2 norm over the bins; a flat cell stays 0.

    Returns:
        Float32 [B, C * bins, H / cell, W / cell]; channel = c * bins + bin.

    Raises:
        InputError: A side is not a multiple of the cell.
    """
    batch, channels, height, width = images.shape
    if height % cell or width % cell:
        raise InputError(f'HOG needs sides that are multiples of its cell of {cell} px, '
                         f'but the images are {height}x{width}')
    planes = images.reshape(batch * channels, height, width)
    rows, columns = height // cell, width // cell
    # On a CPU small pieces stay in the cache and bound the memory; a GPU wants few launches.
    piece = max(1, _CPU_PIECE // (height * width)) if images.device.type == 'cpu' else len(planes)
    with torch.autocast(images.device.type, enabled=False), torch.no_grad():
        cell_bins = _cell_bins(height, width, bins, cell, images.device)
        histogram = torch.cat([_vote(part, cell_bins, bins, rows * columns) for part in planes.split(piece)])
        histogram = histogram.view(batch, channels, rows, columns, bins)
        if normalize:
            histogram = F.normalize(histogram, dim=-1, eps=1e-12)
        return histogram.permute(0, 1, 4, 2, 3).reshape(batch, channels * bins, rows, columns)
