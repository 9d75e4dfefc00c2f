"""Accuracy of a classifier on folders in the layouts of ImageNet-A, -R, -Sketch and -C.

Only the classes that a folder has compete: ImageNet-A and -R have 200 of the 1000, the others all.
"""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmpretrain.evaluation import Accuracy

from ..errors import InputError
from .classifiers import Classifier
from .runs import image_paths

# Top-1 errors of AlexNet, means over the five severities (Hendrycks and Dietterich, arXiv 1903.12261).
ALEXNET_ERRORS = dict(
    gaussian_noise=.886428, shot_noise=.894468, impulse_noise=.922640, defocus_blur=.819880, glass_blur=.826268,
    motion_blur=.785948, zoom_blur=.798360, snow=.866816, frost=.826572, fog=.819324, brightness=.564592,
    contrast=.853204, elastic_transform=.646056, pixelate=.717840, jpeg_compression=.606500)
SEVERITIES = ('1', '2', '3', '4', '5')


def imagenet_classes() -> list[str]:
    """WordNet ids of ImageNet-1K in the order of its class numbers, from timm's lists."""
    from timm.data import ImageNetInfo
    info = ImageNetInfo('imagenet-1k')
    return [info.index_to_label_name(number) for number in range(info.num_classes())]


def class_folders(root: Path) -> list[Path]:
    """Folders of classes directly below ``root``, sorted.

    Raises:
        InputError: There is none.
    """
    folders = sorted(path for path in Path(root).iterdir() if path.is_dir()) if Path(root).is_dir() else []
    if not folders:
        raise InputError(f'expected one folder per class in {root}, but there is none')
    return folders


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Class numbers of folder names.

    Raises:
        InputError: A folder is called like no class.
    """
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise InputError(f'{len(unknown)} of {len(set(names))} folders are called like none of the {len(classes)} '
                         f'classes: {", ".join(unknown[:3])}')
    return [classes.index(name) for name in names]


def folder_accuracy(classifier: Classifier, root: Path, classes: Sequence[str]) -> dict[str, Any]:
    """Top-1 on the pictures in the class folders of ``root``.

    Args:
        classifier: The classifier.
        root: Folder with one folder per class.
        classes: What the folders of the classifier's classes are called, in order.

    Returns:
        ``accuracy`` in [0, 1], the numbers ``classes`` and ``pictures``, and ``unreadable``, a sentence for each
        picture that could not be read.

    Raises:
        InputError: Unknown folders, another number of classes than the classifier has, or no picture.
    """
    folders = class_folders(root)
    numbers = class_numbers([folder.name for folder in folders], classes)
    place = {folder.name: place for place, folder in enumerate(folders)}
    if classifier.num_classes != len(classes):
        raise InputError(f'the classifier has {classifier.num_classes} classes, but the names of {len(classes)} were '
                         'given')
    scores, paths, unreadable = classifier.scores(image_paths(folders))
    labels = torch.tensor([place[path.relative_to(root).parts[0]] for path in paths])
    top1 = Accuracy.calculate(scores[:, numbers], labels, topk=(1, ), thrs=(None, ))[0][0]  # a score of 0 may win
    return dict(accuracy=float(top1) / 100, classes=len(folders), pictures=len(paths), unreadable=unreadable)


def corruption_folders(root: Path) -> dict[str, dict[str, Path]]:
    """Corruption -> severity -> folder, for ``<corruption>/<severity>``, also one folder further down.

    Raises:
        InputError: There is none.
    """
    found = {name: {severity: folder / severity for severity in SEVERITIES if (folder / severity).is_dir()}
             for name in ALEXNET_ERRORS for folder in [*Path(root).glob(name), *Path(root).glob(f'*/{name}')][:1]}
    found = {name: folders for name, folders in found.items() if folders}
    if not found:
        raise InputError(f'expected folders <corruption>/<severity> in {root}, as gaussian_noise/1, but there is none')
    return found


def corruption_robustness(classifier: Classifier, root: Path, classes: Sequence[str],
                          baseline: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Errors on corrupted pictures, and the mean corruption error.

    Args:
        classifier: The classifier.
        root: Folder in the layout of ImageNet-C.
        classes: What the folders of the classifier's classes are called, in order.
        baseline: Corruption -> error in (0, 1] to compare with, mean over the severities; None is AlexNet's.

    Returns:
        ``errors``, corruption -> mean top-1 error of its severities; ``accuracy``, one minus their mean; ``mce``, the
        mean over the 15 corruptions of error / baseline, or None if folders are ``missing``; ``pictures`` and
        ``unreadable`` as :func:`folder_accuracy` gives them.

    Raises:
        InputError: No corruption, a baseline that lacks one, or see :func:`folder_accuracy`.
    """
    baseline = ALEXNET_ERRORS if baseline is None else baseline
    lacking = sorted(name for name in ALEXNET_ERRORS if not baseline.get(name))
    if lacking:
        raise InputError('a baseline needs an error above 0 for each of 15 corruptions, but lacks '
                         f'{", ".join(lacking)}')
    folders = corruption_folders(root)
    results = {name: [folder_accuracy(classifier, folder, classes) for folder in severities.values()]
               for name, severities in folders.items()}
    errors = {name: 1 - sum(result['accuracy'] for result in found) / len(found) for name, found in results.items()}
    missing = [f'{name}/{severity}' for name in ALEXNET_ERRORS for severity in SEVERITIES
               if severity not in folders.get(name, {})]
    everything = [result for found in results.values() for result in found]
    return dict(
        errors=errors, accuracy=1 - sum(errors.values()) / len(errors),
        mce=None if missing else sum(errors[name] / baseline[name] for name in ALEXNET_ERRORS) / len(ALEXNET_ERRORS),
        missing=missing, pictures=sum(result['pictures'] for result in everything),
        unreadable=[sentence for result in everything for sentence in result['unreadable']])
