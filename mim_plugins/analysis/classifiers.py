"""Scores of a classifier of mmpretrain for pictures in folders."""
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.registry import TRANSFORMS, init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..checkpoints import check_match, load_weights
from ..errors import ImageDecodeError, InputError, UnreadableImagesError
from ..pipelines import innermost_dataset

_BATCH = 64
_LOADER = dict(type='mim_plugins.LoadRGBImage')
_PIPELINE = [
    _LOADER, dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224), dict(type='PackInputs')]


class _Pictures(Dataset):
    """Each file with what the pipeline makes of it, or with a sentence why it cannot be read."""

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
        except (ImageDecodeError, OSError) as error:
            return path, _first_line(error)
        return path, self.others(results) if results else f'nothing was read from {path}'


def _collate(items: list[tuple[Path, dict | str]]) -> tuple[list[Path], dict | None, list[str]]:
    samples = {path: sample for path, sample in items if not isinstance(sample, str)}
    broken = [sample for _, sample in items if isinstance(sample, str)]
    return list(samples), default_collate(list(samples.values())) if samples else None, broken


class Classifier:
    """A classifier and how it reads pictures.

    Args:
        model: One of mmpretrain's, in eval mode.
        pipeline: Transforms from ``img_path`` to a packed sample, of which the first reads the file.
        num_classes: Columns of the scores.
        workers: Processes that read pictures; without any, this one does.
    """

    def __init__(self, model: nn.Module, pipeline: Sequence[Callable], num_classes: int, workers: int = 0) -> None:
        self.model = model
        self.pipeline = pipeline
        self.num_classes = num_classes
        self.workers = workers

    @torch.no_grad()
    def scores(self, paths: Sequence[Path]) -> tuple[Tensor, list[Path], list[str]]:
        """Class scores of pictures.

        Args:
            paths: Files.

        Returns:
            Probabilities float32 [N, classes], the N files that could be read, and a sentence for each of the others.

        Raises:
            UnreadableImagesError: None could be read.
        """
        found, read, broken = [], [], []
        for readable, batch, unreadable in DataLoader(
                _Pictures(paths, self.pipeline), _BATCH, num_workers=self.workers, collate_fn=_collate):
            broken += unreadable
            if readable:
                read += readable
                found += [sample.pred_score.float().cpu() for sample in self.model.test_step(batch)]
        if not found:
            raise UnreadableImagesError(f'none of {len(paths)} pictures could be read; the first: {broken[:1]}')
        return torch.stack(found), read, broken


def load_classifier(config: Path, checkpoint: Path, workers: int = 0) -> Classifier:
    """A classifier of mmpretrain on the device to work on.

    Pictures go through the config's test pipeline, in which :class:`~mim_plugins.datasets.LoadRGBImage` takes the place
    of ``LoadImageFromFile``, or where there is none through short side 256 and centre crop 224.

    Args:
        config: File of an mmpretrain config.
        checkpoint: File with all of its weights.
        workers: Processes that read pictures; without any, this one does.

    Raises:
        InputError: A file is missing or damaged, the weights do not match, or the config is of something else.
    """
    cfg = _read_config(config)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    weights = load_weights(checkpoint)
    shared = {'data_preprocessor': cfg.data_preprocessor} if cfg.get('data_preprocessor') else {}
    model = MODELS.build({**shared, **cfg.model})
    # timm's classifiers have a ``model`` for the head.
    num_classes = getattr(getattr(model, 'head', None) or getattr(model, 'model', None), 'num_classes', None)
    if num_classes is None:
        raise InputError(f'{config} must be of a classifier, but is of a {type(model).__name__}')
    check_match(model, weights, str(checkpoint))
    model.load_state_dict(weights)
    model.eval()
    first, *others = innermost_dataset(cfg.get('test_dataloader')).get('pipeline') or _PIPELINE
    first = _LOADER if first['type'] == 'LoadImageFromFile' else first
    pipeline = [TRANSFORMS.build(step) for step in (first, *others)]
    return Classifier(model.to(get_device()), pipeline, num_classes, workers)


def _read_config(path: Path) -> Config:
    if not Path(path).is_file():
        raise InputError(f'there is no config at {path}')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is code that may raise anything
        raise InputError(f'{path} cannot be read as a config: {_first_line(error)}') from error
    if 'model' not in cfg:
        raise InputError(f'{path} must be of a classifier, but has no model')
    return cfg


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
