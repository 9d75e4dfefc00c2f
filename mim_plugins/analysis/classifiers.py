"""A trained classifier of mmpretrain, and its scores for image files."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..checkpoints import check_file
from ..errors import InputError, UnreadableImagesError

_PIPELINE = [
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs')]


@dataclass
class Scores:
    """What a classifier says of the images that could be read.

    Attributes:
        values: Float32 [N, classes], probabilities.
        paths: The N files, in the order that they were given in.
        unreadable: For each other file its name and the reason.
    """

    values: Tensor
    paths: list[Path]
    unreadable: list[str]


class Classifier:
    """A model with the way of reading images that it was tested with.

    Args:
        model: One of mmpretrain's classifiers, in eval mode on its device.
        pipeline: Transforms, of which the first reads the file.
        num_classes: Columns of the scores.
        batch_size: Images at a time.
        workers: Processes that read images; without any, this one does.
    """

    def __init__(self, model: nn.Module, pipeline: Sequence[Callable], num_classes: int, batch_size: int = 64,
                 workers: int = 0) -> None:
        self.model = model
        self.pipeline = pipeline
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.workers = workers

    @torch.no_grad()
    def scores(self, paths: Sequence[Path]) -> Scores:
        """Classify images; files that cannot be read are left out and named.

        Raises:
            UnreadableImagesError: No file could be read.
        """
        found = Scores(torch.empty(0, self.num_classes), [], [])
        values = []
        for readable, batch, unreadable in DataLoader(
                _Images(paths, self.pipeline), self.batch_size, num_workers=self.workers, collate_fn=_collate):
            found.unreadable += unreadable
            if readable:
                found.paths += readable
                values += [sample.pred_score.float().cpu() for sample in self.model.test_step(batch)]
        if not values:
            reason = f', the first: {found.unreadable[0]}' if found.unreadable else ''
            raise UnreadableImagesError(f'none of the {len(paths)} files could be read{reason}')
        found.values = torch.stack(values)
        return found


class _Images(Dataset):
    """Each file with what the pipeline makes of it, or with the reason why it cannot be read."""

    def __init__(self, paths: Sequence[Path], pipeline: Sequence[Callable]) -> None:
        self.paths = paths
        self.load, *others = pipeline
        self.others = Compose(others)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Path, dict | str]:
        path = self.paths[index]
        try:
            results = self.load(dict(img_path=str(path)))
        except MemoryError:
            raise
        except Exception as error:  # each loader has its own for damaged files
            reason = _first_line(error)
            return path, reason if str(path) in reason else f'{path}: {reason}'
        return path, self.others(results)


def _collate(items: list[tuple[Path, dict | str]]) -> tuple[list[Path], dict, list[str]]:
    """Readable files, their batch, and the reasons of the others."""
    readable = [(path, data) for path, data in items if not isinstance(data, str)]
    batch = default_collate([data for _, data in readable]) if readable else {}
    return [path for path, _ in readable], batch, [data for _, data in items if isinstance(data, str)]


def load_classifier(config: str | Path, checkpoint: str | Path, batch_size: int = 64, workers: int = 0) -> Classifier:
    """A classifier on the device to work on.

    Images go through the pipeline of the config's ``test_dataloader``; without one, the short side becomes 256 px, of
    which the central 224 are taken.

    Args:
        config: Config file of mmpretrain.
        checkpoint: Weights of the whole classifier, a local file.
        batch_size: Images at a time.
        workers: Processes that read images; without any, this one does.

    Raises:
        InputError: A file is missing or damaged, the config is of no classifier, or a tensor is missing, unknown or
            of another shape.
    """
    check_file(checkpoint)
    cfg = _read_config(config)
    from mmpretrain.apis import get_model
    from mmpretrain.registry import TRANSFORMS

    # Without the data sets, whose types get_model would look up.
    model = get_model(Config({name: cfg[name] for name in ('model', 'data_preprocessor') if name in cfg}))
    # timm's classifiers have a ``model`` for the head.
    num_classes = getattr(getattr(model, 'head', None) or getattr(model, 'model', None), 'num_classes', None)
    if num_classes is None:
        raise InputError(f'expected an image classifier, but {config} is of a {type(model).__name__} without classes')
    _load_weights(model, checkpoint)
    dataset = cfg.get('test_dataloader') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    pipeline = [TRANSFORMS.build(step) for step in dataset.get('pipeline') or _PIPELINE]
    return Classifier(model.to(get_device()), pipeline, num_classes, batch_size, workers)


def _read_config(path: str | Path) -> Config:
    if not Path(path).is_file():
        raise InputError(f'no config at {path}')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is code that may raise anything
        raise InputError(f'{path} cannot be read as a config: {_first_line(error)}') from error
    if 'model' not in cfg:
        raise InputError(f'expected the config of a classifier, but {path} has no model')
    return cfg


def _load_weights(model: nn.Module, path: str | Path) -> None:
    try:
        stored = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
        weights = stored.get('state_dict', stored)
    except Exception as error:  # of pickle and of torch, depending on which bytes are damaged
        raise InputError(f'{path} cannot be read as a checkpoint: {_first_line(error)}') from error
    start = f'the checkpoint {path} does not match the classifier: '
    try:
        # Unlike a comparison of names, it lets position embeddings of another size be resized.
        missing, unknown = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(start + str(error).splitlines()[-1].strip()) from error
    found = [f'{len(names)} {kind} (first: {names[0]})' for kind, names in (
        ('missing', missing), ('unknown', unknown)) if names]
    if found:
        raise InputError(f'{start}of {len(model.state_dict())} tensors, {", ".join(found)}')


def read_json(path: str | Path, expected: str) -> dict:
    """The object in a json file.

    Args:
        path: The file.
        expected: What the object should be, for the message.

    Raises:
        InputError: The file is missing, damaged, or holds something else than an object with entries.
    """
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f'expected a json of {expected} at {path}: {_first_line(error)}') from error
    if not isinstance(found, dict) or not found:
        raise InputError(f'expected a json of {expected} at {path}, but it holds {str(found)[:40]}')
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
