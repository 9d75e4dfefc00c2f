"""How far masked pixels are from visible ones: AvgDist (SimMIM, arXiv 2111.09886, figure 3)."""
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ..errors import InputError
from ..ops import resize_mask
from ..registry import TASK_UTILS


def avg_dist(mask_pixels: Tensor | np.ndarray) -> np.ndarray:
    """Mean Euclidean distance from the masked pixels to the nearest visible one, for each mask.

    Args:
        mask_pixels: Bool [B, H, W] at the images' size, True = masked.

    Returns:
        Float64 [B] in pixels: at least 1, or 0 for a mask that masks nothing.

    Raises:
        InputError: Another shape or type, or a mask without a visible pixel, from which no distance is defined.
    """
    masks = mask_pixels.cpu().numpy() if isinstance(mask_pixels, Tensor) else np.asarray(mask_pixels)
    if masks.ndim != 3 or masks.dtype != bool:
        raise InputError(f'AvgDist wants bool masks of shape [B, H, W], but got {masks.dtype} {list(masks.shape)}')
    full = masks.all((1, 2))
    if full.any():
        raise InputError(f'AvgDist needs a visible pixel in every mask, but number {full.argmax()} masks all')
    # The transform is zero at visible pixels.
    return np.array([distance_transform_edt(mask).sum() / max(mask.sum(), 1) for mask in masks])


def avg_dist_course(strategies: Mapping[str, dict],
                    ratios: Sequence[float],
                    size: tuple[int, int],
                    samples: int = 16,
                    seed: int = 0) -> dict[str, list[float]]:
    """AvgDist of mask strategies over the mask ratio.

    Args:
        strategies: Name -> config of a mask strategy without its ratio.
        ratios: Shares to mask, in (0, 1).
        size: Images' (H, W) in pixels.
        samples: Masks to average over, at each ratio.
        seed: Every strategy and ratio starts from it.

    Returns:
        Name -> AvgDist in pixels at each ratio.

    Raises:
        InputError: A strategy cannot work at this size and ratio.
    """
    def average(config: dict, ratio: float) -> float:
        strategy = TASK_UTILS.build({**config, 'ratio': ratio})
        masks = strategy(samples, size, torch.Generator().manual_seed(seed), torch.device('cpu'))
        return float(avg_dist(resize_mask(masks, size)).mean())

    return {name: [average(config, ratio) for ratio in ratios] for name, config in strategies.items()}


def avg_dist_figure(course: Mapping[str, Sequence[float]], ratios: Sequence[float]) -> Figure:
    """One line per strategy.

    Args:
        course: As :func:`avg_dist_course` gives it for ``ratios``.
        ratios: Shares masked.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    figure, axis = plt.subplots(figsize=(6, 4), layout='constrained')
    for name, distances in course.items():
        axis.plot(ratios, distances, marker='o', markersize=3, label=name)
    axis.set(xlabel='mask ratio', ylabel='AvgDist, px', ylim=(0, None))
    axis.legend()
    return figure
