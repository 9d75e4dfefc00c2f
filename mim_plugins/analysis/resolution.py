"""How stable targets are when the resolution changes (FastMIM, arXiv 2212.06593, section 3.2)."""
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ..ops import hog
from .held_out import similarity
from .pictures import draw_hog


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode='bicubic', align_corners=False, antialias=True)


def at_resolution(images: Tensor, size: int) -> dict[str, Tensor]:
    """Both targets of images at a smaller size, brought back to the grid of the images' own.

    Args:
        images: [B, 3, S, S] in [0, 1].
        size: Smaller side in pixels, a multiple of 8.

    Returns:
        ``pixels`` [B, 3, S, S] in [0, 1], and ``hog`` [B, 27, S / 8, S / 8] in [0, 1].
    """
    side = images.shape[-1]
    small = images if size == side else _resize(images, (size, size)).clamp(0, 1)
    histograms = hog(small)
    if size == side:
        return dict(pixels=images, hog=histograms)
    return dict(
        pixels=_resize(small, (side, side)).clamp(0, 1),
        hog=F.interpolate(histograms, (side // 8, side // 8), mode='bilinear', align_corners=False))


def target_stability(images: Tensor, sizes: Sequence[int]) -> list[dict[str, float | str]]:
    """PSNR and SSIM of targets made at smaller sizes against those of the images' own.

    Args:
        images: [B, 3, S, S] in [0, 1]; S a multiple of 8.
        sizes: Smaller sides in pixels, multiples of 8.

    Returns:
        One row per target and size: ``target``, ``size``, ``psnr`` in dB and ``ssim``, means over the images;
        equal ones, whose PSNR is infinite, count only if all are equal.
    """
    own, rows = at_resolution(images, images.shape[-1]), []
    for size in sizes:
        for target, maps in at_resolution(images, size).items():
            scores = [similarity(_last(a), _last(b)) for a, b in zip(own[target], maps, strict=True)]
            finite = [score['psnr'] for score in scores if np.isfinite(score['psnr'])]
            rows.append(dict(
                target=target, size=size, psnr=float(np.mean(finite)) if finite else np.inf,
                ssim=float(np.mean([score['ssim'] for score in scores]))))
    return rows


def _last(maps: Tensor) -> np.ndarray:
    return torch.movedim(maps, 0, -1).double().numpy()


def stability_figure(image: Tensor, sizes: Sequence[int]) -> Figure:
    """Pixels and HOG of one image [3, S, S] in [0, 1], its own and through smaller sizes."""
    columns = [image.shape[-1], *sizes]
    figure, axes = plt.subplots(2, len(columns), figsize=(2 * len(columns), 4), squeeze=False, layout='compressed')
    for place, size in enumerate(columns):
        targets = at_resolution(image[None], size)
        axes[0, place].imshow(_last(targets['pixels'][0]))
        axes[1, place].imshow(draw_hog(targets['hog'][0]), cmap='gray')
        axes[0, place].set_title(f'{size} px')
    for axis in axes.flat:
        axis.set_axis_off()
    return figure
