"""Targets and reconstructions as pictures."""
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ..models import MaskedImageModel
from ..models.targets import ClassTarget, HOGTarget, LowPassTarget, OfflineTarget, TeacherTarget
from ..ops import map_to_tokens, resize_mask
from .runs import undisturbed

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


def intensities(images: Tensor, model: MaskedImageModel) -> Tensor:
    """Turn normalised images [B, C, H, W] back to intensities, cut to [0, 1]."""
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, '_enable_normalize', False):
        images = images * preprocessor.std + preprocessor.mean
    return (images / 255).clamp(0, 1).detach()


def denormalize(images: Tensor, model: MaskedImageModel) -> np.ndarray:
    """Turn normalised images [B, C, H, W] back to [B, H, W, 3] in [0, 1].

    Of more than three channels the first three are shown, of fewer the first one in grey.
    """
    images = intensities(images, model)
    shown = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    return shown.permute(0, 2, 3, 1).cpu().numpy()


def _class_colors(classes: Tensor) -> np.ndarray:
    """Classes [B, h, w] as one colour each, [B, h, w, 3] in [0, 1]."""
    number = classes.cpu().numpy().astype(np.uint64)
    # Multiples of irrational steps: classes next to each other differ much.
    return np.stack([(number * step) % 1 for step in (0.618034, 0.754878, 0.569840)], axis=-1)


def _principal_colors(features: Tensor, reference: Tensor) -> np.ndarray:
    """Features [B, C, h, w] by the first three principal components of others, [B, h, w, 3] in [0, 1]."""
    cells = map_to_tokens(reference.double()).flatten(0, 1).cpu()
    center = cells.mean(0)
    axes = torch.linalg.svd(cells - center, full_matrices=False).Vh[:3].T
    low, high = ((cells - center) @ axes).quantile(torch.tensor([.02, .98], dtype=torch.double), dim=0)
    found = (map_to_tokens(features.double()).cpu() - center) @ axes
    colors = ((found - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return colors.unflatten(1, tuple(features.shape[-2:])).numpy()


def draw_target(model: MaskedImageModel, values: Tensor, images: Tensor, reference: Tensor | None = None) -> np.ndarray:
    """A target or prediction as pictures.

    Args:
        model: Its target generator made the target.
        values: Map [B, C, h, w]; of classes also their logits.
        images: The normalised images [B, C, H, W] that it belongs to; what per-patch normalisation took away
            comes from them.
        reference: Target whose colours a prediction of features is to have; None for ``values`` themselves.

    Returns:
        [B, H', W'] or [B, H', W', 3] in [0, 1]: colours where the target has them, HOG as strokes, classes
        without colours as one colour each, features of a teacher by their first three principal components as red,
        green and blue, anything else as its mean over the channels.
    """
    target = model.target_generator
    colors = target.to_images(values, images)
    if colors is not None:
        return denormalize(colors, model)
    while isinstance(target, LowPassTarget):
        target = target.target
    if isinstance(target, HOGTarget):
        return np.stack([draw_hog(one, target.bins) for one in values])
    if isinstance(target, ClassTarget):
        return _class_colors(target.likeliest(values)[:, 0])
    if isinstance(target, (TeacherTarget, OfflineTarget)) and values.shape[1] >= 3:
        return _principal_colors(values, values if reference is None else reference)
    mean = values.float().mean(1)
    low, high = mean.amin((1, 2), True), mean.amax((1, 2), True)
    return ((mean - low) / (high - low).clamp(min=1e-12)).cpu().numpy()


def reconstruct(model: MaskedImageModel, inputs: Tensor, mask: Tensor,
                target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """What the model's ``'predict'`` mode gives, in eval mode, and ``pasted`` for targets with colours.

    Args:
        model: Its mode is restored afterwards.
        inputs: Normalised [B, C, H, W] of the model's input size.
        mask: Bool [B, h, w], True = masked.
        target_inputs: What else the target is made of, see :func:`mim_plugins.analysis.target_images.target_batches`.

    Returns:
        ``corrupted``, ``prediction``, ``target``, ``mask``; ``pasted`` [B, C, H, W] is the image with the
        prediction in its masked places.
    """
    counts = mask.flatten(1).sum(1)
    step = len(inputs) if (counts == counts[0]).all() else 1  # fills that drop tokens want as many in each image
    with undisturbed(model):
        parts = []
        for start in range(0, len(inputs), step):
            part = slice(start, start + step)
            given = {name: value[part] for name, value in (target_inputs or {}).items()}
            parts.append(model(inputs[part], mask=mask[part], mode='predict',
                               **(dict(target_inputs=given) if given else {})))
    result = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    colors = model.target_generator.to_images(result['prediction'], inputs)
    if colors is not None:
        size = tuple(inputs.shape[-2:])
        filled = F.interpolate(colors.to(inputs.dtype), size, mode='nearest')
        result['pasted'] = torch.where(resize_mask(mask, size).unsqueeze(1), filled, inputs)
    return result


def reconstruction_figure(model: MaskedImageModel, inputs: Tensor, mask: Tensor,
                          result: dict[str, Tensor] | None = None) -> Figure:
    """Input, masked input, target, and prediction of each image in a row.

    The prediction is drawn where the image is masked; elsewhere the darkened target is shown, because
    nothing was learned there. Targets with colours have a further column, the image with the prediction in
    its masked places.

    Args:
        model: The model; its mode is restored afterwards.
        inputs: Normalised [B, C, H, W] of the model's input size.
        mask: Bool [B, h, w], True = masked.
        result: What :func:`reconstruct` gave for them, if that is at hand.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    result = result or reconstruct(model, inputs, mask)
    target, prediction = (draw_target(model, result[name], inputs, result['target']) for name in (
        'target', 'prediction'))
    masked = resize_mask(mask, target.shape[1:3]).cpu().numpy()
    if target.ndim == 4:
        masked = masked[..., None]
    columns = {
        'input': denormalize(inputs, model),
        'masked input': denormalize(result['corrupted'], model),
        'target': target,
        'prediction': np.where(masked, prediction, target * _DARK),
    }
    if 'pasted' in result:
        columns['pasted'] = denormalize(result['pasted'], model)
    figure, axes = plt.subplots(len(inputs), len(columns), figsize=(2 * len(columns), 2 * len(inputs)), squeeze=False,
                                layout='compressed')
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
