"""Accuracy on pictures that a classifier was not trained for: ImageNet-C, -A, -R and -Sketch.

C: Hendrycks and Dietterich, arXiv 1903.12261; A: arXiv 1907.07174; R: arXiv 2006.16241; Sketch: arXiv 1905.13549.
Accuracies are mmpretrain's ``Accuracy``; the order of ImageNet's classes is timm's. A folder need not hold all classes:
as usual for A and R, only the scores of those that it holds compete.
"""
from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ..errors import InputError
from .classifiers import Classifier

# Errors of AlexNet, means of the five severities, as the authors of ImageNet-C published them.
ALEXNET_ERRORS = dict(
    gaussian_noise=.886428, shot_noise=.894468, impulse_noise=.922640, defocus_blur=.819880, glass_blur=.826268,
    motion_blur=.785948, zoom_blur=.798360, snow=.866816, frost=.826572, fog=.819324, brightness=.564592,
    contrast=.853204, elastic_transform=.646056, pixelate=.717840, jpeg_compression=.606500)
EXTRA_CORRUPTIONS = ('gaussian_blur', 'saturate', 'spatter', 'speckle_noise')
SEVERITIES = ('1', '2', '3', '4', '5')


@dataclass
class FolderAccuracy:
    """Accuracy on class folders.

    Attributes:
        accuracy: Top-1 in [0, 1].
        pictures: How many were classified.
        classes: How many competed.
        unreadable: For each file that could not be read its name and the reason.
    """

    accuracy: float
    pictures: int
    classes: int
    unreadable: list[str]


@dataclass
class CorruptionAccuracy:
    """Accuracy under ImageNet-C's corruptions.

    Attributes:
        folders: Corruption -> severity -> accuracy.
        errors: Corruption -> error in [0, 1], the mean of its severities; the extra corruptions included.
        mean_accuracy: In [0, 1], over those of the 15 corruptions that are there.
        mce: Mean of the 15 errors, each divided by the baseline's; 1 is as good as the baseline. None if incomplete.
        missing: Corruptions, and severities of others, that mCE needs but that are not there.
    """

    folders: dict[str, dict[str, FolderAccuracy]]
    errors: dict[str, float]
    mean_accuracy: float
    mce: float | None
    missing: list[str]


def imagenet_classes() -> list[str]:
    """ImageNet-1k's WordNet ids in the order of a classifier's scores."""
    from timm.data import ImageNetInfo
    return ImageNetInfo().label_names()


def read_classes(source: str | Path) -> list[str]:
    """Names of classes in the order of a classifier's scores.

    Args:
        source: A text file with one name a line, or the folder that the classifier was trained on, with one folder
            per class, in the order of their names.

    Raises:
        InputError: Nothing is there, it holds no names, or one twice.
    """
    source = Path(source)
    if source.is_dir():
        names = _folder_names(source)
    else:
        try:
            names = [line.strip() for line in source.read_text().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise InputError(f'expected names of classes, a text file or a folder of class folders, at {source}: '
                             f'{error}') from error
    if not names or len(set(names)) < len(names):
        raise InputError(f'expected different names of classes in {source}, but found {len(names)} names of '
                         f'{len(set(names))} classes')
    return names


def folder_accuracy(classifier: Classifier, folder: str | Path,
                    classes: Sequence[str] | None = None) -> FolderAccuracy:
    """Accuracy on the layout of ImageNet-A, -R and -Sketch, a folder per class.

    Args:
        classifier: The scores of the classes that have a folder compete.
        folder: Pictures in or below ``<class>/``.
        classes: Names in the order of the scores; by default ImageNet-1k's WordNet ids.

    Raises:
        InputError: There is no such folder, one has no picture or the name of no class, or the classifier has another
            number of classes.
    """
    from mmpretrain.evaluation import Accuracy

    from .runs import image_paths
    columns = _columns(classifier, classes)
    folder = Path(folder)
    names = _known_folders(folder, columns, 'classes')
    scores = classifier.scores(image_paths([folder / name for name in names]))
    place = {name: number for number, name in enumerate(names)}
    targets = [place[path.relative_to(folder).parts[0]] for path in scores.paths]
    (percent,), = Accuracy.calculate(scores.values[:, [columns[name] for name in names]], targets, thrs=(None,))
    return FolderAccuracy(percent.item() / 100, len(targets), len(names), scores.unreadable)


def corruption_accuracy(classifier: Classifier, folder: str | Path, classes: Sequence[str] | None = None,
                        baseline: Mapping[str, float] = ALEXNET_ERRORS) -> CorruptionAccuracy:
    """Accuracy and mean corruption error on the layout of ImageNet-C.

    Args:
        classifier: As for :func:`folder_accuracy`.
        folder: Pictures in ``<corruption>/<severity>/<class>/``.
        classes: As for :func:`folder_accuracy`.
        baseline: Error in (0, 1] of the classifier to compare with, for each of the 15 corruptions.

    Raises:
        InputError: There is no such folder, none of the 15 corruptions, a folder has a name of no corruption,
            severity or class, or the baseline is incomplete.
    """
    _check_baseline(baseline)
    folder, columns = Path(folder), _columns(classifier, classes)
    layout = {corruption: _known_folders(folder / corruption, SEVERITIES, 'severities')
              for corruption in _known_folders(folder, (*ALEXNET_ERRORS, *EXTRA_CORRUPTIONS), 'corruptions')}
    measured = [corruption for corruption in ALEXNET_ERRORS if corruption in layout]
    if not measured:
        raise InputError(f'expected corruptions as {", ".join(ALEXNET_ERRORS)} in {folder}, but found only the extra '
                         f'ones {", ".join(layout)}')
    for corruption, severities in layout.items():  # before the first of many hours
        for severity in severities:
            _known_folders(folder / corruption / severity, columns, 'classes')
    folders = {corruption: {severity: folder_accuracy(classifier, folder / corruption / severity, classes)
                            for severity in severities} for corruption, severities in layout.items()}
    errors = {corruption: 1 - mean(found.accuracy for found in severities.values())
              for corruption, severities in folders.items()}
    missing = [name for corruption in ALEXNET_ERRORS for name in (
        [f'{corruption}/{severity}' for severity in SEVERITIES if severity not in layout[corruption]]
        if corruption in layout else [corruption])]
    return CorruptionAccuracy(
        folders, errors,
        mean_accuracy=1 - mean(errors[corruption] for corruption in measured),
        mce=None if missing else mean(errors[corruption] / baseline[corruption] for corruption in measured),
        missing=missing)


def _check_baseline(baseline: Mapping[str, float]) -> None:
    wrong = sorted(set(baseline) ^ set(ALEXNET_ERRORS)) or [
        f'{name}: {error}' for name, error in baseline.items()
        if not (isinstance(error, int | float) and 0 < error <= 1)]
    if wrong:
        raise InputError(f'expected a baseline with an error in (0, 1] for each of {", ".join(ALEXNET_ERRORS)}, but '
                         f'this is not so for {", ".join(wrong)}')


def _columns(classifier: Classifier, classes: Sequence[str] | None) -> dict[str, int]:
    """Class name -> column of the scores."""
    names = imagenet_classes() if classes is None else classes
    if len(names) != classifier.num_classes:
        raise InputError(f'expected the names of the {classifier.num_classes} classes of the classifier, but '
                         f"{'ImageNet has' if classes is None else 'there are'} {len(names)}")
    return {name: column for column, name in enumerate(names)}


def _folder_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f'no folder at {folder}')
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith('.'))


def _known_folders(folder: Path, known: Container[str], kind: str) -> list[str]:
    """Names of the folders in a folder, if all of them are known."""
    names = _folder_names(folder)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(f'expected folders named after {kind} in {folder}, but found {", ".join(unknown) or "none"}')
    return names
