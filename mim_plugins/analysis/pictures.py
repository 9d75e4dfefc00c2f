"""Targets and reconstructions as pictures."""
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..models import MaskedImageModel
from ..models.targets import HOGTarget
from ..ops import resize_mask

# Brightness of the target where the prediction was not trained.
_DARK = 0.4


def _strokes(bins: int, side: int) -> np.ndarray:
    """One anti-aliased line per orientation along the edge that votes for it, [bins, side, side]."""
    angle = (np.arange(bins) + 0.5) / bins * np.pi
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    # A bin is atan2(gx, gy): its edge runs along (cos, -sin) with y pointing down.
    across = np.abs(x * np.sin(angle)[:, None, None] + y * np.cos(angle)[:, None, None])
    along = np.hypot(x, y)
    return np.clip(1.2 - across, 0, 1) * (along <= side / 2)


def draw_hog(histograms: Tensor, bins: int = 9, side: int = 16) -> np.ndarray:
    """Draw each cell as strokes along its edges, as bright as the bins are full.

    Args:
        histograms: [C * bins, h, w] as :func:`mim_plugins.ops.hog` gives for one image; the channels are
            summed and negative values (of a prediction) count as 0.
        bins: Orientations.
        side: Side of a drawn cell in pixels.

    Returns:
        Float [h * side, w * side] in [0, 1].
    """
    rows, columns = histograms.shape[-2:]
    strength = histograms.detach().float().cpu().clamp(min=0).view(-1, bins, rows, columns).sum(0).numpy()
    picture = np.einsum('bhw,bij->hiwj', strength, _strokes(bins, side)).reshape(rows * side, columns * side)
    return picture / max(picture.max(), 1e-12)


def denormalize(images: Tensor, model: MaskedImageModel) -> np.ndarray:
    """Turn normalised images [B, C, H, W] back to [B, H, W, C] in [0, 1]."""
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, '_enable_normalize', False):
        images = images * preprocessor.std + preprocessor.mean
    return (images / 255).clamp(0, 1).permute(0, 2, 3, 1).detach().cpu().numpy()


def _drawable(model: MaskedImageModel, values: Tensor) -> np.ndarray:
    """A target or prediction [B, C, h, w] as pictures [B, H, W] or [B, H, W, 3] in [0, 1]."""
    if isinstance(model.target_generator, HOGTarget):
        return np.stack([draw_hog(one, model.target_generator.bins) for one in values])
    if getattr(model.target_generator, 'norm_patch', None):
        # The patches' own means are gone: stretch to the visible range instead.
        low, high = values.amin((1, 2, 3), True), values.amax((1, 2, 3), True)
        return ((values - low) / (high - low).clamp(min=1e-12)).permute(0, 2, 3, 1).cpu().numpy()
    return denormalize(values, model)


@torch.no_grad()
def reconstruction_figure(model: MaskedImageModel, inputs: Tensor, mask: Tensor) -> Figure:
    """Input, masked input, target, and prediction of each image in a row.

    The prediction is drawn where the image is masked; elsewhere the darkened target is shown, because
    nothing was learned there.

    Args:
        model: The model; its mode is restored afterwards.
        inputs: Normalised [B, C, H, W] of the model's input size.
        mask: Bool [B, h, w], True = masked.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    training = model.training
    model.eval()
    result = model(inputs, mask=mask, mode='predict')
    model.train(training)
    target, prediction = (_drawable(model, result[name]) for name in ('target', 'prediction'))
    masked = resize_mask(mask, target.shape[1:3]).cpu().numpy()
    if target.ndim == 4:
        masked = masked[..., None]
    columns = {
        'input': denormalize(inputs, model),
        'masked input': denormalize(result['corrupted'], model),
        'target': target,
        'prediction': np.where(masked, prediction, target * _DARK),
    }
    figure, axes = plt.subplots(len(inputs), 4, figsize=(8, 2 * len(inputs)), squeeze=False, layout='compressed')
    for place, (title, pictures) in enumerate(columns.items()):
        axes[0, place].set_title(title)
        for axis, picture in zip(axes[:, place], pictures, strict=True):
            axis.imshow(picture, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
            axis.set_axis_off()
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and close it."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
