"""Shape bias: whether a classifier goes by shape or by texture (Geirhos et al., arXiv 1811.12231, section 3).

The pictures show the shape of one of 16 categories with the texture of another. Of mmpretrain's ``ShapeBiasMetric``
the classes of ImageNet in each category are taken, as well as its rule that a category's score is the mean of its
classes'; the metric itself tells only the accuracy of the shape and writes a table where it is built.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from ..errors import InputError
from .classifiers import Classifier

_NAME = re.compile(r'(.+?)\d+-(.+?)\d+')  # dog3-clock1


@dataclass
class ShapeBias:
    """Decisions on the pictures whose shape and texture are of two categories.

    Attributes:
        shape_bias: Share of shape among the decisions for either shape or texture, in [0, 1]; None if there are none.
        per_category: The same for the pictures of each shape.
        shape_accuracy: Share of the pictures, in [0, 1], that were decided as their shape.
        texture_accuracy: Share of the pictures, in [0, 1], that were decided as their texture.
        pictures: How many pictures that is.
        left_out: How many more have shape and texture of one category.
        unreadable: For each file that could not be read its name and the reason.
    """

    shape_bias: float | None
    per_category: dict[str, float | None]
    shape_accuracy: float
    texture_accuracy: float
    pictures: int
    left_out: int
    unreadable: list[str]


def imagenet_categories() -> dict[str, list[int]]:
    """The 16 categories, by name, with the classes of ImageNet-1k (0..999) that belong to each."""
    from mmpretrain.evaluation import ShapeBiasMetric
    return {name.removesuffix('_indices'): indices for name, indices in sorted(vars(ShapeBiasMetric).items())
            if name.endswith('_indices')}


def shape_and_texture(path: Path, folder: Path) -> tuple[str, str] | None:
    """The two categories in ``<shape>/<shape><number>-<texture><number>.png``; None of a file of another layout."""
    found = _NAME.fullmatch(path.stem)
    fits = found and path.relative_to(folder).parts == (found[1], path.name)
    return found.groups() if fits else None


def shape_bias(classifier: Classifier, folder: str | Path,
               categories: Mapping[str, Sequence[int]] | None = None) -> ShapeBias:
    """Let a classifier decide on the pictures of a cue conflict.

    Args:
        classifier: Its scores are averaged over the classes of each category; the highest mean decides.
        folder: Pictures ``<shape>/<shape><number>-<texture><number>.png``.
        categories: Class numbers of each category; by default ImageNet-1k's of the 16 categories.

    Raises:
        InputError: A picture is named otherwise or of another category, none has a conflict or can be read, or the
            categories do not belong to the classifier's classes.
    """
    if categories is None:
        categories = imagenet_categories()
        if classifier.num_classes != 1000:
            raise InputError('a classifier of other classes than the 1000 of ImageNet needs categories of its own, but '
                             f'this one has {classifier.num_classes} classes and none were given')
    _check_categories(categories, classifier.num_classes)
    cues = _read_cues(Path(folder), categories)
    conflicts = {path: cue for path, cue in cues.items() if len(set(cue)) == 2}
    if not conflicts:
        raise InputError(f'shape bias needs pictures with the texture of another category, but none of {len(cues)} in '
                         f'{folder} has one')
    scores = classifier.scores(list(conflicts))
    means = torch.stack([scores.values[:, list(classes)].mean(1) for classes in categories.values()], dim=1)
    names = list(categories)
    decided = [(conflicts[path], names[choice]) for path, choice in zip(
        scores.paths, means.argmax(1).tolist(), strict=True)]
    shapes = [shape for (shape, _), choice in decided if choice == shape]
    textures = [shape for (shape, texture), choice in decided if choice == texture]
    return ShapeBias(
        shape_bias=_share(len(shapes), len(textures)),
        per_category={name: _share(shapes.count(name), textures.count(name))
                      for name in sorted({shape for (shape, _), _ in decided})},
        shape_accuracy=len(shapes) / len(decided),
        texture_accuracy=len(textures) / len(decided),
        pictures=len(decided),
        left_out=len(cues) - len(conflicts),
        unreadable=scores.unreadable)


def _check_categories(categories: Mapping[str, Sequence[int]], num_classes: int) -> None:
    wrong = [f'{name}: {numbers}' for name, numbers in categories.items() if not (
        isinstance(numbers, Sequence) and numbers
        and all(isinstance(number, int) and 0 <= number < num_classes for number in numbers))]
    if wrong:
        raise InputError(f'expected class numbers from 0 to {num_classes - 1} for each category, but got {wrong[0]}')


def _read_cues(folder: Path, categories: Mapping[str, Sequence[int]]) -> dict[Path, tuple[str, str]]:
    """Shape and texture of each picture."""
    from .runs import image_paths
    cues = {path: shape_and_texture(path, folder) for path in image_paths([folder])}
    wrong = [path for path, cue in cues.items() if cue is None or not set(cue) <= set(categories)]
    if wrong:
        raise InputError(f'expected pictures <shape>/<shape><number>-<texture><number>.png of {", ".join(categories)} '
                         f'in {folder}, but {len(wrong)} of {len(cues)} are not, the first {wrong[0]}')
    return cues


def _share(shapes: int, textures: int) -> float | None:
    return shapes / (shapes + textures) if shapes + textures else None


def shape_bias_figure(result: ShapeBias) -> Figure:
    """Shape bias of each category as a dot between texture and shape, and that of all decisions as a line.

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    shares = {name: share for name, share in result.per_category.items() if share is not None}
    figure, axis = plt.subplots(figsize=(6, 1.5 + .28 * len(result.per_category)), layout='constrained')
    places = list(result.per_category)
    axis.scatter([100 * share for share in shares.values()], [places.index(name) for name in shares], zorder=2)
    if result.shape_bias is not None:
        axis.axvline(100 * result.shape_bias, label=f'all decisions: {100 * result.shape_bias:.1f} %')
        axis.legend()
    axis.set(xlim=(-2, 102), xlabel='decisions for the shape among those for shape or texture, %')
    axis.set_yticks(range(len(places)), places)
    axis.set_ylim(len(places) - .5, -.5)
    axis.grid(axis='y', alpha=.3)
    return figure
