"""What a config says of its data set and of the transforms that read the pictures."""
from collections.abc import Sequence

from mmengine.config import Config


def innermost_dataset(loader: dict | None) -> dict:
    """Config of the data set inside all wrappers of a loader's; nothing for no loader."""
    dataset = loader or {}
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    return dataset


def pipeline_of(cfg: Config | None) -> list[dict]:
    """Configs of the training pipeline's transforms, each of which does one thing; none for no config."""
    return single_steps(innermost_dataset(cfg.get('train_dataloader') if cfg else None).get('pipeline') or [])


def single_steps(pipeline: Sequence[dict]) -> list[dict]:
    """A pipeline with the loader, the crop and what follows in the place of a transform that joins them.

    ``LoadAndCrop`` and ``PackEncodedCrop`` take no more of a picture than a training's crop: without them, the same
    picture can be read whole, and its crop be looked at.
    """
    return [part for step in pipeline for part in _parts(step)]


def _parts(step: dict) -> list[dict]:
    kind = _kind(step)
    if kind not in ('LoadAndCrop', 'PackEncodedCrop'):
        return [step]
    options = {name: step[name] for name in ('order', 'backend_args') if name in step}
    parts = [dict(type='mim_plugins.LoadRGBImage', **options), step['crop']]
    if kind == 'LoadAndCrop':
        return parts
    return [*parts, dict(type='mim_plugins.RandomFlip', prob=step.get('flip_prob', 0.5)), dict(type='PackInputs')]


def kinds_of(pipeline: Sequence[dict]) -> list[str]:
    """Names of the transforms' types, without the prefix of a package."""
    return [_kind(step) for step in pipeline]


def _kind(step: dict) -> str:
    return str(step.get('type', '')).rpartition('.')[-1]
