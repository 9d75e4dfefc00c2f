"""Object coverage J(F): how much of an object an augmentation leaves (PixMIM, arXiv 2303.02416, section 3).

A box is (top, left, bottom, right) in pixels of the picture that came in. It may reach outside; where its bottom
lies above its top, or its right before its left, the picture was flipped.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.registry import TRANSFORMS

from ..errors import InputError
from ..pipelines import single_steps
from ..registry import TASK_UTILS

if TYPE_CHECKING:
    from ..datasets.object_masks import ObjectMasks
    from ..models.preprocessors import MaskStrategy

Box = tuple[float, float, float, float]

_GEOMETRIC = ('Crop', 'Resize', 'Flip', 'Pad')
_FLAT = 60  # level of the ramp's third channel; not the middle of the range, so that a change of contrast shows


def covered(mask: np.ndarray, box: Box, visible: np.ndarray | None = None) -> float:
    """Share of an object's area that lies in a box, exactly.

    Args:
        mask: Bool [H, W], True = object.
        box: (top, left, bottom, right) in pixels of the mask, fractions included.
        visible: Bool [h, w], True = visible: equal cells over the box, of which only the visible ones count.

    Returns:
        A share in [0, 1]; what lies outside the picture is no part of the object.

    Raises:
        InputError: Arrays of other shapes or types, no object, or a box without an area.
    """
    visible = np.ones((1, 1), dtype=bool) if visible is None else visible
    for name, array in (('an object mask', mask), ('a grid of visible cells', visible)):
        if array.ndim != 2 or array.dtype != bool:
            raise InputError(f'{name} must be bool of shape [H, W], but is {array.dtype} {list(array.shape)}')
    if not mask.any():
        raise InputError('coverage needs an object, but the mask is empty')
    top, left, bottom, right = box
    if not np.isfinite(box).all() or top == bottom or left == right:
        raise InputError(f'a box (top, left, bottom, right) must have an area, but is {box}')
    rows = overlaps(top, bottom, visible.shape[0], mask.shape[0])
    columns = overlaps(left, right, visible.shape[1], mask.shape[1])
    areas = rows @ mask @ columns.T  # [h, w], the object's part in each cell
    return float(areas[visible].sum() / mask.sum())


def overlaps(start: float, end: float, cells: int, pixels: int) -> np.ndarray:
    """How much of each pixel along an axis lies in each of some equal cells between two edges, [cells, pixels]."""
    edges = np.linspace(start, end, cells + 1)
    low, high = np.sort([edges[:-1], edges[1:]], axis=0)[..., None]
    pixel = np.arange(pixels)
    return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)


def crop_box(transforms: Sequence[Callable[[dict], dict]], size: tuple[int, int], **fields) -> tuple[Box, tuple]:
    """The part of a picture that crops, resizes and flips leave, under the present state of the random numbers.

    A transform that leaves ``crop_box`` is believed. Through any other one a ramp is sent, whose levels tell what
    came from where: exactly if nothing was resized, else to about a thousandth of the side. Mirrored padding may take
    a quarter of a side.

    Args:
        transforms: In their order; built.
        size: (H, W) of the picture that comes in.
        **fields: What a sample holds beside ``img``, such as ``object_mask``.

    Returns:
        The box, and the (H, W) of the picture that comes out.

    Raises:
        InputError: A transform leaves no picture, changes colours, or moves pixels in another way.
    """
    box, results = (0., 0., float(size[0]), float(size[1])), fields
    for transform in transforms:
        ramp = _ramp(*size)
        results = {name: value for name, value in results.items() if name != 'crop_box'}
        results = transform({**results, 'img': ramp.copy(), 'img_shape': size, 'ori_shape': size}) or {}
        image, name = results.get('img'), type(transform).__name__
        if getattr(image, 'ndim', 0) != 3 or image.shape[2] != 3 or min(image.shape) < 2:
            raise InputError(f'{name} must leave a picture of three channels and at least 2x2 px as img, but does not')
        box = _within(box, results['crop_box'] if 'crop_box' in results else _find(ramp, image, name), size)
        size = image.shape[:2]
    return box, size


def _within(outer: Box, inner: Box, size: tuple[int, int]) -> Box:
    """A box in pixels of a picture of ``size`` that was cut out of another: the same in the other's pixels."""
    return tuple(outer[edge % 2] + inner[edge] * (outer[edge % 2 + 2] - outer[edge % 2]) / size[edge % 2]
                 for edge in range(4))


@lru_cache(maxsize=4)
def _ramp(height: int, width: int) -> np.ndarray:
    """Uint8 [H, W, 3]: x and y, each from 0 to 255, and a flat channel.

    Dithered so evenly that the mean over any few rows or columns is finer than a level.
    """
    y, x = np.mgrid[:height, :width] + .5
    grain = x * 0.7548776662 + y * 0.5698402910  # steps of the R2 sequence
    ramp = np.full((height, width, 3), _FLAT, dtype=np.uint8)
    ramp[..., 0] = x * 255 / width + grain % 1
    ramp[..., 1] = y * 255 / height + (grain + .5) % 1
    ramp.flags.writeable = False
    return ramp


def _find(ramp: np.ndarray, image: np.ndarray, name: str) -> Box:
    """Where in the ramp [H, W, 3] an image [h, w, 3] came from."""
    inside = abs(image[..., 2].astype(int) - _FLAT) <= 2  # not in padding of one colour
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if min(len(rows), len(columns)) < 2 or inside.sum() < .9 * len(rows) * len(columns):
        raise InputError(f'{name} must be a crop, a resize or a flip, but changes colours')
    image, size = image[np.ix_(rows, columns)], image.shape[:2]
    top, bottom = _edges(image[..., 1].T, rows, size[0], ramp.shape[0], name)
    left, right = _edges(image[..., 0], columns, size[1], ramp.shape[1], name)
    box = (top, left, bottom, right)
    whole = tuple(map(round, box))
    unresized = size == (abs(whole[2] - whole[0]), abs(whole[3] - whole[1]))  # then the edges are whole numbers
    return tuple(map(float, whole if unresized and np.allclose(box, whole, rtol=0, atol=.1) else box))


def _edges(levels: np.ndarray, columns: np.ndarray, width: int, pixels: int, name: str) -> tuple[float, float]:
    """Left and right edge of an image ``width`` wide, in pixels of the ramp, from its levels [h, w] at ``columns``."""
    centers, origins = columns + .5, levels * (pixels / 255)
    course = origins.mean(0)
    tolerance = .5 + pixels / 255  # what interpolation does at a border, and a level
    margin = len(columns) // 4
    fitted = slice(margin, len(columns) - margin)
    for _ in range(3):  # out to where a mirrored border begins
        slope, start = np.polyfit(centers[fitted], course[fitted], 1)
        line = start + slope * centers
        if np.median(abs(origins - line)) > tolerance:
            raise InputError(f'{name} must be a crop, a resize or a flip, but moves pixels in another way')
        fitted = abs(course - line) < tolerance
    return start, start + slope * width


def geometric(pipeline: Sequence[dict]) -> list[dict]:
    """The crops, resizes, flips and paddings of a recipe's pipeline, known by their names."""
    return [step for step in single_steps(pipeline) if any(word in str(step['type']) for word in _GEOMETRIC)]


@dataclass(frozen=True)
class ObjectCoverage:
    """J(F) of each picture that has an object.

    Attributes:
        paths: The pictures.
        whole: Float64 [N], the share of the object in the picture, in [0, 1].
        masked: Float64 [N], the share in its visible part; None without a mask strategy.
        skipped: Pictures without an object.
    """

    paths: list[str]
    whole: np.ndarray
    masked: np.ndarray | None
    skipped: int


def mean_and_error(shares: np.ndarray) -> tuple[float, float]:
    """Mean of [N] pictures' values and its standard error, which is not a number for a single picture."""
    error = shares.std(ddof=1) / len(shares)**.5 if len(shares) > 1 else np.nan
    return float(shares.mean()), float(error)


def object_coverage(pipeline: Sequence[dict | Callable],
                    paths: Sequence[str | Path],
                    masks: ObjectMasks,
                    mask_strategy: dict | MaskStrategy | None = None,
                    repeats: int = 1,
                    seed: int = 0) -> ObjectCoverage:
    """Object coverage J(F) of an augmentation, without and with masking.

    Args:
        pipeline: Crops, resizes and flips, configs or built; see :func:`geometric` for those of a recipe. They see
            the ``object_mask``.
        paths: Pictures.
        masks: Their objects.
        mask_strategy: A mask strategy or its config.
        repeats: Draws for each picture, whose mean is its value.
        seed: Every draw depends on it, on its number and on the picture's place alone.

    Raises:
        InputError: A picture without a mask, no picture with an object, or a transform that is something else.
    """
    from ..datasets.keyed import SampleKey, seeded  # all of mmpretrain's transforms come with them
    from ..datasets.transforms import LoadRGBImage
    if repeats < 1:
        raise InputError(f'object coverage needs at least 1 draw for each picture, but repeats is {repeats}')
    transforms = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
    strategy = TASK_UTILS.build(mask_strategy) if isinstance(mask_strategy, dict) else mask_strategy
    masks.check(paths)

    def draw(mask: np.ndarray) -> list[float]:
        box, size = crop_box(transforms, mask.shape, object_mask=mask)
        if strategy is None:
            return [covered(mask, box)]
        hidden = strategy(1, size, torch.default_generator, torch.device('cpu'))[0]
        return [covered(mask, box), covered(mask, box, ~hidden.numpy())]

    used, shares = [], []
    for number, path in enumerate(map(str, paths)):
        shape = LoadRGBImage().transform(dict(img_path=path))['img_shape']
        mask = masks.masks(path, shape)
        if not mask.any():
            continue
        draws = []
        for repeat in range(repeats):
            with seeded(SampleKey(number, (seed, repeat))):
                draws.append(draw(mask))
        used.append(path)
        shares.append(np.mean(draws, axis=0))
    if not used:
        raise InputError(f'object coverage needs pictures with objects, but none of {len(paths)} has one')
    whole, *masked = np.transpose(shares)
    return ObjectCoverage(used, whole, masked[0] if masked else None, len(paths) - len(used))


def coverage_figure(results: Mapping[str, ObjectCoverage]) -> Figure:
    """Bars of the means without and with masking, side by side, with their standard errors.

    Args:
        results: Name of an augmentation -> its coverage.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    figure, axis = plt.subplots(figsize=(1.5 + 1.2 * len(results), 4), layout='constrained')
    for shift, part, label in ((-.2, 'whole', 'without masking'), (.2, 'masked', 'with masking')):
        shares = {place: getattr(result, part) for place, result in enumerate(results.values())}
        bars = {place: mean_and_error(values) for place, values in shares.items() if values is not None}
        if bars:
            means, errors = 100 * np.transpose(list(bars.values()))
            drawn = axis.bar(np.array(list(bars)) + shift, means, .4, yerr=errors, capsize=3, label=label)
            axis.bar_label(drawn, fmt='%.1f', padding=2)
    axis.set(ylabel='object coverage, %', ylim=(0, 112))
    axis.set_xticks(range(len(results)), list(results))
    figure.legend(loc='outside upper center', ncols=2)
    return figure
