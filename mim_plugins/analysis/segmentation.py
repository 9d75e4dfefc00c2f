"""What frozen features are worth for segmentation: one linear classifier for all places of the last map."""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from sklearn.metrics import jaccard_score

from ..errors import InputError
from ..models import MaskedImageModel
from .probe import standardized_regression, training_part
from .runs import image_paths, input_batches, undisturbed

_BATCH = 64


def segmentation_features(model: MaskedImageModel, root: Path, split: str,
                          cfg: Config | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Last features and labels of pictures in ADE20K's layout.

    Args:
        model: Its mode and torch's random state are restored afterwards.
        root: Folder with ``images/<split>`` and ``annotations/<split>``, a PNG of class numbers for each picture.
        split: Name of the part, as ``'training'``.
        cfg: Config of the run, whose own loader then reads the files.

    Returns:
        Features float32 [N, C, h, w] at the model's input size, and labels uint8 [N, H, W].

    Raises:
        InputError: No such folder, or pictures without an annotation.
    """
    images, annotations = (Path(root) / part / split for part in ('images', 'annotations'))
    paths = image_paths([images])
    labels = [annotations / path.relative_to(images).with_suffix('.png') for path in paths]
    missing = [str(path) for path in labels if not path.is_file()]
    if missing:
        raise InputError(f'{len(missing)} of {len(paths)} pictures in {images} have no annotation, the first '
                         f'{missing[0]}')
    height, width = size = model.input_size
    with undisturbed(model):
        maps = [model.neck.as_map(model(inputs, mode='tensor'), size).float().cpu()
                for _, inputs in input_batches(model, paths, _BATCH, cfg)]
    resized = [np.asarray(Image.open(path).resize((width, height), Image.Resampling.NEAREST)) for path in labels]
    return torch.cat(maps).numpy(), np.stack(resized)


def cell_labels(labels: np.ndarray, grid: tuple[int, int], ignore: int | None = None) -> np.ndarray:
    """The class with the most pixels in each cell.

    Args:
        labels: Class numbers [N, H, W]; the grid divides H and W.
        grid: Cells in height and width.
        ignore: A class that does not count.

    Returns:
        Class numbers int64 [N, h, w]; -1 where no pixel counts.
    """
    one_hot = torch.from_numpy(labels[:, None] == np.arange(int(labels.max()) + 1)[:, None, None]).float()
    if ignore is not None:
        one_hot[:, ignore] = 0
    shares = F.avg_pool2d(one_hot, (labels.shape[1] // grid[0], labels.shape[2] // grid[1]))
    largest, classes = shares.max(1)
    return torch.where(largest > 0, classes, -1).numpy()


def segmentation_probe(train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray], seed: int,
                       ignore: int | None = None, share: float = 0.9, strength: float = 0.1) -> float:
    """Mean intersection over union of a logistic regression on standardised features of single places.

    It is trained on the class with the most pixels in each cell; its scores are enlarged bilinearly to the labels'
    size. Classes that the held-out part does not have are left out of the mean.

    Args:
        train: Features [N, C, h, w] and labels [N, H, W].
        val: The same for the held-out part.
        seed: Chooses the part of the training pictures that is used.
        ignore: A class whose pixels are neither learned nor compared, as 0 in ADE20K.
        share: Size of that part, in (0, 1].
        strength: Inverse of the L2 regularisation.

    Returns:
        Mean over the classes, in [0, 1].
    """
    features, labels = train
    part = training_part(len(labels), share, seed)
    cells = cell_labels(labels[part], features.shape[2:], ignore).ravel()
    known = cells >= 0
    if len(np.unique(cells[known])) < 2:
        raise InputError('a segmentation probe needs annotations of at least two classes')
    probe = standardized_regression(strength)
    probe.fit(_places(features[part])[known], cells[known])
    held_out, expected = val
    scores = probe.decision_function(_places(held_out))
    scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores  # of two classes it gives one column
    maps = torch.from_numpy(scores).float().unflatten(0, (len(held_out), *held_out.shape[2:])).movedim(-1, 1)
    enlarged = F.interpolate(maps, expected.shape[1:], mode='bilinear').argmax(1).numpy()
    compared = expected != (-1 if ignore is None else ignore)
    predicted, expected = probe.classes_[enlarged][compared], expected[compared]
    return float(jaccard_score(expected, predicted, labels=np.unique(expected), average='macro'))


def _places(features: np.ndarray) -> np.ndarray:
    """Feature maps [N, C, h, w] as rows [N * h * w, C]."""
    return np.moveaxis(features, 1, -1).reshape(-1, features.shape[1])
