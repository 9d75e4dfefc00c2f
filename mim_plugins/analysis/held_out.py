"""Losses and scores under masks that stay the same."""
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from ..errors import InputError
from ..models import MaskedImageModel
from ..models.preprocessors import FixedMasks
from ..ops import map_to_tokens, resize_mask
from .coverage import overlaps
from .pictures import denormalize, reconstruct
from .runs import undisturbed
from .target_images import target_batches

_BATCH = 64


def fixed_masks(model: MaskedImageModel, batch: int, seed: int = 0) -> Tensor:
    """Masks [batch, h, w] of the model's own strategy at its size, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    masks = model.data_preprocessor.mask_strategy(batch, model.input_size, generator, torch.device('cpu'))
    return masks.to(next(model.parameters()).device)


def drawn_mask(path: str | Path, grid: tuple[int, int], share: float = 0.5) -> Tensor:
    """A mask that somebody drew, or of an object, on a grid of units.

    Args:
        path: ``.npy`` or ``.png`` of any size, read as :class:`~mim_plugins.models.FixedMasks` does: all that
            is not zero is masked.
        grid: Units in height and width.
        share: A unit is masked if more than this share of it is covered, in [0, 1).

    Returns:
        Bool [h, w], True = masked.

    Raises:
        InputError: No such file, or one that masks nothing or everything.
    """
    if not 0 <= share < 1:
        raise InputError(f'the share of a unit to be covered must lie in [0, 1), but is {share}')
    masks = FixedMasks(Path(path), unit=1).masks
    if len(masks) > 1:
        raise InputError(f'a drawn mask has two dimensions, but {path} holds {len(masks)} masks')
    height, width = masks.shape[1:]
    areas = overlaps(0, height, grid[0], height) @ masks[0].numpy() @ overlaps(0, width, grid[1], width).T
    covered = areas * (grid[0] * grid[1] / (height * width))
    mask = torch.from_numpy(covered > share + 1e-9)  # rounding
    if mask.all() or not mask.any():
        raise InputError(f'{path} covers {"all" if mask.all() else "none"} of {grid[0]}x{grid[1]} units by more than '
                         f'a share of {share:g}; a reconstruction needs masked and visible ones')
    return mask


def held_out_loss(model: MaskedImageModel, paths: Sequence[Path], cfg: Config | None = None, seed: int = 0) -> float:
    """Mean loss of held-out images at the model's current size, under masks that are the same each time.

    Args:
        model: Its mode and torch's random state are restored afterwards.
        paths: Images.
        cfg: Config of the run, whose own loader then reads the files.
        seed: Chooses the masks.

    Raises:
        InputError: The target needs stored features, but the run's store has none of an image.
    """
    total = 0.
    with undisturbed(model, seed):
        for start, batch in target_batches(model, paths, _BATCH, cfg):
            number = len(batch['inputs'])
            losses = model(**batch, mask=fixed_masks(model, number, seed + start), mode='loss')
            total += number * float(model.parse_losses(losses)[0])
    return total / len(paths)


def loss_by_size(model: MaskedImageModel, paths: Sequence[Path], sizes: Sequence[tuple[int, int]],
                 cfg: Config | None = None, seed: int = 0) -> dict[tuple[int, int], float | str]:
    """Held-out loss at other sizes than a model was trained at.

    Args:
        model: Its size is restored afterwards.
        paths: Images.
        sizes: (H, W) in pixels.
        cfg: Config of the run, whose own loader then reads the files.
        seed: Chooses the masks.

    Returns:
        Size -> loss, or the reason why the model does not take that size.
    """
    before, found = model.input_size, {}
    try:
        for size in sizes:
            try:
                model.set_input_size(size)
                found[size] = held_out_loss(model, paths, cfg, seed)
            except (InputError, RuntimeError, AssertionError) as error:  # the latter two from encoders of others
                found[size] = str(error).splitlines()[0]
    finally:
        model.set_input_size(before)
    return found


def size_figure(courses: dict[str, dict[tuple[int, int], float | str]]) -> Figure:
    """Losses over the sizes in order of their areas, one line per name; sizes that were refused are left out."""
    figure, axis = plt.subplots(figsize=(5, 3.5), layout='constrained')
    sizes = sorted({size for course in courses.values() for size in course}, key=lambda size: size[0] * size[1])
    for name, course in courses.items():
        points = [(place, course[size]) for place, size in enumerate(sizes) if isinstance(course.get(size), float)]
        axis.plot([place for place, _ in points], [loss for _, loss in points], marker='o', label=name)
    axis.set_xticks(range(len(sizes)), [f'{height}x{width}' for height, width in sizes])
    axis.set(xlabel='size, px', ylabel='held-out loss')
    axis.legend()
    return figure


def similarity(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """PSNR in dB (infinite for equal pictures) and SSIM of pictures [H, W, C] in [0, 1], by scikit-image.

    Raises:
        InputError: A side of less than 3.
    """
    if min(reference.shape[:2]) < 3:
        raise InputError('SSIM needs pictures of at least 3x3, but one has {}x{}'.format(*reference.shape[:2]))
    with np.errstate(divide='ignore'):
        psnr = peak_signal_noise_ratio(reference, other, data_range=1)
    side = min(7, *reference.shape[:2])
    return dict(psnr=float(psnr), ssim=float(structural_similarity(
        reference, other, data_range=1, channel_axis=-1, win_size=side - 1 + side % 2)))


def reconstruction_scores(model: MaskedImageModel, inputs: Tensor, mask: Tensor,
                          result: dict[str, Tensor] | None = None) -> list[dict[str, float]]:
    """Loss of each image's masked region, and for targets with colours PSNR and SSIM of the pasted picture.

    Args:
        model: The model.
        inputs: Normalised [B, C, H, W] of the model's input size.
        mask: Bool [B, h, w], True = masked.
        result: What :func:`mim_plugins.analysis.pictures.reconstruct` gave for them, if that is at hand.
    """
    result = result or reconstruct(model, inputs, mask)
    maps = zip(
        map_to_tokens(result['prediction'].float()).split(1), map_to_tokens(result['target']).split(1),
        resize_mask(mask, tuple(result['target'].shape[-2:])).flatten(1).split(1), strict=True)
    scores = [dict(loss=float(model.head.loss_module(*parts))) for parts in maps]
    if 'pasted' in result:
        pairs = zip(denormalize(inputs, model), denormalize(result['pasted'], model), strict=True)
        scores = [{**score, **similarity(*pair)} for score, pair in zip(scores, pairs, strict=True)]
    return scores
