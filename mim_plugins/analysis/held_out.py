"""Losses and pictures under masks that stay the same."""
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmengine.config import Config
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from ..errors import InputError
from ..models import MaskedImageModel
from .pictures import denormalize, reconstruct
from .runs import image_batch


def fixed_masks(model: MaskedImageModel, batch: int, seed: int = 0) -> Tensor:
    """Masks [batch, h, w] of the model's own strategy at its size that depend on the seed alone, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return model.data_preprocessor.mask_strategy(batch, model.input_size, generator, torch.device('cpu'))


def drawn_mask(path: str | Path, grid: tuple[int, int], share: float = 0.5) -> Tensor:
    """A mask that somebody drew, or of an object, on a grid of units.

    Args:
        path: ``.npy`` or picture of any size; all that is not zero (or black) is masked.
        grid: Units in height and width.
        share: A unit is masked if more than this share of it is covered, in [0, 1).

    Returns:
        Bool [h, w], True = masked.

    Raises:
        InputError: No such file, or one that masks nothing or everything.
    """
    try:
        if Path(path).suffix == '.npy':
            pixels = np.load(path) != 0
        else:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert('L')) != 0
    except (OSError, ValueError) as error:
        raise InputError(f'no mask can be read from {path}: {error}') from error
    if pixels.ndim != 2:
        raise InputError(f'a mask has two dimensions, but {path} has the shape {pixels.shape}')
    covered = F.interpolate(torch.from_numpy(pixels)[None, None].float(), grid, mode='area')[0, 0]
    mask = covered > share
    if mask.all() or not mask.any():
        raise InputError(f'{path} masks {"all" if mask.all() else "none"} of {grid[0]}x{grid[1]} units; a '
                         'reconstruction needs both kinds')
    return mask


def _inputs(model: MaskedImageModel, batch: dict) -> Tensor:
    """A collated batch as the model gets it; the masks drawn along the way are left aside."""
    return model.data_preprocessor(batch, False)['inputs']


@torch.no_grad()
def held_out_loss(model: MaskedImageModel, batch: dict, seed: int = 0) -> float:
    """Mean loss of held-out images under masks that are the same each time.

    Args:
        model: Its mode is restored afterwards.
        batch: Collated images of the model's input size, as :func:`image_batch` gives them.
        seed: Chooses the masks.
    """
    training = model.training
    model.eval()
    inputs = _inputs(model, batch)
    losses = model(inputs, mask=fixed_masks(model, len(inputs), seed).to(inputs.device), mode='loss')
    model.train(training)
    return sum(float(value) for name, value in losses.items() if 'loss' in name)


def loss_by_size(model: MaskedImageModel, paths: Sequence[Path], sizes: Sequence[tuple[int, int]],
                 cfg: Config | None = None, seed: int = 0) -> dict[tuple[int, int], float | str]:
    """Held-out loss at other sizes than a model was trained at.

    Args:
        model: Its size is restored afterwards.
        paths: Images.
        sizes: (H, W) in pixels.
        cfg: Config of the run, whose own first transform then reads the files.
        seed: Chooses the masks.

    Returns:
        Size -> loss, or the reason why the model does not take that size.
    """
    before, found = model.input_size, {}
    for size in sizes:
        try:
            model.set_input_size(size)
            found[size] = held_out_loss(model, image_batch(paths, size, cfg), seed)
        except InputError as error:
            found[size] = str(error)
    model.set_input_size(before)
    return found


def size_figure(courses: dict[str, dict[tuple[int, int], float | str]]) -> Figure:
    """Losses over the shorter side, one line per name; sizes that were refused are left out."""
    figure, axis = plt.subplots(figsize=(5, 3.5), layout='constrained')
    for name, course in courses.items():
        points = sorted((min(size), loss) for size, loss in course.items() if not isinstance(loss, str))
        axis.plot(*zip(*points, strict=True), marker='o', label=name) if points else None
    axis.set(xlabel='size, px', ylabel='held-out loss')
    axis.legend()
    return figure


def similarity(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """PSNR in dB (infinite for equal pictures) and SSIM of pictures [H, W, C] in [0, 1], by scikit-image."""
    with np.errstate(divide='ignore'):
        psnr = peak_signal_noise_ratio(reference, other, data_range=1)
    side = min(7, *reference.shape[:2])
    return dict(psnr=float(psnr), ssim=float(structural_similarity(
        reference, other, data_range=1, channel_axis=-1, win_size=side - 1 + side % 2)))


def reconstruction_scores(model: MaskedImageModel, inputs: Tensor, mask: Tensor,
                          result: dict[str, Tensor] | None = None) -> list[dict[str, float]]:
    """Loss of each image, and for targets with colours PSNR and SSIM of the pasted picture.

    Args:
        model: The model.
        inputs: Normalised [B, C, H, W] of the model's input size.
        mask: Bool [B, h, w], True = masked.
        result: What :func:`mim_plugins.analysis.pictures.reconstruct` gave for them, if that is at hand.
    """
    result = result or reconstruct(model, inputs, mask)
    scores = [dict(loss=float(model.head.loss(result['prediction'][i:i + 1], result['target'][i:i + 1], mask[i:i + 1])))
              for i in range(len(inputs))]
    if 'pasted' in result:
        pairs = zip(denormalize(inputs, model), denormalize(result['pasted'], model), strict=True)
        scores = [{**score, **similarity(*pair)} for score, pair in zip(scores, pairs, strict=True)]
    return scores
