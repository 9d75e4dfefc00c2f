"""Scores of a classifier of mmpretrain for pictures in folders."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.registry import TRANSFORMS, init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ..checkpoints import check_match, load_weights
from ..errors import ImageDecodeError, InputError, UnreadableImagesError
from ..models.options import filled_in

_BATCH = 64
_PIPELINE = [
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224), dict(type='PackInputs')]


@dataclass(frozen=True)
class Classifier:
    """A classifier and how it reads pictures.

    Attributes:
        model: One of mmpretrain's, in eval mode.
        pipeline: From ``img_path`` to a packed sample.
    """

    model: nn.Module
    pipeline: Compose

    @torch.no_grad()
    def scores(self, paths: Sequence[Path]) -> tuple[Tensor, list[Path], list[str]]:
        """Class scores of pictures.

        Args:
            paths: Files.

        Returns:
            Scores float32 [N, classes], the N files that could be read, and a sentence for each of the others.

        Raises:
            UnreadableImagesError: None could be read.
        """
        found, read, broken = [], [], []
        for start in range(0, len(paths), _BATCH):
            samples = []
            for path in paths[start:start + _BATCH]:
                try:
                    samples.append(self.pipeline(dict(img_path=str(path))))
                    read.append(path)
                except ImageDecodeError as error:
                    broken.append(str(error))
            if samples:
                batch = self.model.data_preprocessor(default_collate(samples))
                found += [sample.pred_score.float().cpu() for sample in self.model(**batch, mode='predict')]
        if not found:
            raise UnreadableImagesError(f'none of {len(paths)} pictures could be read; the first: {broken[:1]}')
        return torch.stack(found), read, broken


def load_classifier(config: Path, checkpoint: Path) -> Classifier:
    """A classifier of mmpretrain on the device to work on.

    Pictures are read by :class:`~mim_plugins.datasets.LoadRGBImage` and go on through the config's test pipeline, or
    where it has none through short side 256 and centre crop 224.

    Args:
        config: File of an mmpretrain config.
        checkpoint: File with all of its weights.

    Raises:
        InputError: A file is missing or damaged, the weights do not match, or the config is of something else.
    """
    if not Path(config).is_file():
        raise InputError(f'there is no config at {config}')
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    weights = load_weights(checkpoint)
    model = MODELS.build(filled_in(cfg.model, MODELS, data_preprocessor=cfg.get('data_preprocessor')))
    if not hasattr(model, 'head') or not hasattr(model.head, 'predict'):
        raise InputError(f'{config} must be of a classifier, but is of a {type(model).__name__}')
    check_match(model, weights, str(checkpoint))
    model.load_state_dict(weights)
    steps = (cfg.get('test_dataloader') or {}).get('dataset', {}).get('pipeline') or [None, *_PIPELINE]
    model.eval()
    return Classifier(model.to(get_device()), Compose([
        TRANSFORMS.build(step) for step in [dict(type='mim_plugins.LoadRGBImage'), *steps[1:]]]))
