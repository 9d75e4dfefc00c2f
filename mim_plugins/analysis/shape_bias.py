"""Whether a classifier decides by shape or by texture (arXiv 1811.12231; PixMIM, arXiv 2303.02416)."""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..errors import InputError
from .runs import image_paths

_NAME = re.compile(r'([a-z]+)\d*-([a-z]+)\d*')
_IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Conflict:
    """A picture whose shape is of one category and whose texture of another."""

    path: Path
    shape: str
    texture: str


def imagenet_categories() -> dict[str, list[int]]:
    """The protocol's 16 categories as ImageNet-1K's class numbers, as mmpretrain's ``ShapeBiasMetric`` lists them."""
    from mmpretrain.evaluation import ShapeBiasMetric
    suffix = '_indices'
    return {name.removesuffix(suffix): list(value) for name, value in sorted(vars(ShapeBiasMetric).items())
            if name.endswith(suffix)}


def cue_conflicts(folder: Path, categories: Sequence[str]) -> list[Conflict]:
    """Pictures ``<shape>/<shape><number>-<texture><number>.png`` below a folder.

    Those whose shape and texture are of one category are left out: they tell nothing.

    Raises:
        InputError: The folder has another layout, or no picture with a conflict.
    """
    found = []
    for path in image_paths([folder]):
        match = _NAME.fullmatch(path.stem)
        if not match or path.parent.name != match[1] or not set(match.groups()) <= set(categories):
            raise InputError('cue-conflict pictures are called <shape>/<shape><number>-<texture><number>.png with '
                             f'categories among {", ".join(categories)}, but there is {path}')
        if match[1] != match[2]:
            found.append(Conflict(path, match[1], match[2]))
    if not found:
        raise InputError(f'no picture below {folder} has a shape and a texture of two categories')
    return found


def decide(scores: Tensor, categories: Mapping[str, Sequence[int]]) -> list[str]:
    """The category whose classes have the highest mean score, for each picture.

    Args:
        scores: Probabilities [N, classes].
        categories: Name -> class numbers.

    Raises:
        InputError: A class number that the scores do not have, or a category without classes.
    """
    for name, numbers in categories.items():
        if not numbers or not 0 <= min(numbers) <= max(numbers) < scores.shape[1]:
            raise InputError(f'category {name} must name classes from 0 to {scores.shape[1] - 1}, but names '
                             f'{list(numbers)}')
    means = np.stack([scores[:, list(numbers)].mean(1).numpy() for numbers in categories.values()])
    return [list(categories)[number] for number in means.argmax(0)]


def shape_bias(conflicts: Sequence[Conflict], decisions: Sequence[str]) -> dict:
    """Count decisions.

    Args:
        conflicts: Pictures.
        decisions: The category decided on for each.

    Returns:
        ``pictures``; ``shape`` and ``texture``, shares of all pictures decided as their shape and as their texture;
        ``shape_bias``, shape / (shape + texture), or None if neither was ever decided; ``by_category`` the same for the
        pictures of each shape.
    """
    def bias(pairs: Sequence[tuple[Conflict, str]]) -> tuple[float | None, int, int]:
        shape = sum(decision == conflict.shape for conflict, decision in pairs)
        texture = sum(decision == conflict.texture for conflict, decision in pairs)
        return (shape / (shape + texture) if shape + texture else None), shape, texture

    pairs = list(zip(conflicts, decisions, strict=True))
    overall, shape, texture = bias(pairs)
    shapes = sorted({conflict.shape for conflict in conflicts})
    return dict(
        pictures=len(pairs), shape=shape / len(pairs), texture=texture / len(pairs), shape_bias=overall,
        by_category={name: bias([pair for pair in pairs if pair[0].shape == name])[0] for name in shapes})


def category_mapping(classes: int, categories: Mapping[str, Sequence[int]] | None) -> Mapping[str, Sequence[int]]:
    """Categories as given, or those of ImageNet for a classifier of its 1000 classes.

    Raises:
        InputError: None are given for a classifier of another number of classes.
    """
    if categories is None and classes != _IMAGENET_CLASSES:
        raise InputError(f'the 16 categories are known for {_IMAGENET_CLASSES} classes of ImageNet, but the classifier '
                         f'has {classes}: give a json file of category -> class numbers')
    return imagenet_categories() if categories is None else categories


def shape_bias_figure(results: Mapping[str, dict]) -> Figure:
    """Shape bias by category, one row of points and a line at the overall value for each classifier.

    Args:
        results: Name -> what :func:`shape_bias` gave.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    names = sorted({name for result in results.values() for name in result['by_category']})
    figure, axis = plt.subplots(figsize=(5, 1.5 + .3 * len(names)), layout='constrained')
    for label, result in results.items():
        known = {name: value for name, value in result['by_category'].items() if value is not None}
        points = axis.scatter(list(known.values()), [names.index(name) for name in known], label=label)
        if result['shape_bias'] is not None:
            axis.axvline(result['shape_bias'], color=points.get_facecolor()[0])
    axis.set(xlabel='shape decisions / (shape + texture decisions)', xlim=(0, 1))
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.legend()
    return figure
