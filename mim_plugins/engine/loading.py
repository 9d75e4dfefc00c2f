"""The switch from decoding whole pictures to decoding what a crop needs."""
from copy import deepcopy

from mmengine.config import Config, ConfigDict
from mmengine.registry import TRANSFORMS

from ..errors import InputError
from ..pipelines import innermost_dataset

_LOADERS = ('mim_plugins.LoadRGBImage', 'LoadImageFromFile', 'mmcv.LoadImageFromFile', 'mmpretrain.LoadImageFromFile')
# Unprefixed names of the others are those of other crops.
_CROPS = ('mim_plugins.RandomResizedCrop', 'mim_plugins.SimpleResizedCrop', 'mim_plugins.CenterCrop',
          'mim_plugins.ResizeOnly', 'RandomResizedCrop', 'mmpretrain.RandomResizedCrop')
_FLIPS = ('RandomFlip', 'mmcv.RandomFlip', 'mmpretrain.RandomFlip')
_LOADER_OPTIONS = {'type', 'order', 'backend_args'}


def use_fast_loading(cfg: Config) -> None:
    """Let training load with ``LoadAndCrop`` instead of a loader and the crop behind it, and flip with our flip.

    The loader may be ours or mmcv's, the crop one of ours or mmpretrain's ``RandomResizedCrop``. A pipeline that
    begins with ``LoadAndCrop`` stays as it is.

    Raises:
        InputError: The training pipeline begins otherwise, or its loader has options that ``LoadAndCrop`` has not.
    """
    dataset = innermost_dataset(cfg.get('train_dataloader'))
    steps = dataset.get('pipeline') or []
    names = [str(step['type']) for step in steps[:2]]
    if names[:1] == ['mim_plugins.LoadAndCrop']:
        return
    if len(names) < 2 or names[0] not in _LOADERS or names[1] not in _CROPS:
        raise InputError('--fast-loading joins a loader with the crop behind it: the training pipeline must begin with '
                         f'{" or ".join(_LOADERS[:2])} and one of {", ".join(_CROPS[:4])}, but begins with '
                         f'{" and ".join(names) or "nothing"}')
    loader, crop = steps[:2]
    unknown = sorted(set(loader) - _LOADER_OPTIONS)
    if unknown:
        raise InputError(f'--fast-loading cannot keep {", ".join(unknown)} of {names[0]}')
    kept = {name: loader[name] for name in ('order', 'backend_args') if name in loader}
    ours = {**crop, 'type': f'mim_plugins.{names[1].rpartition(".")[2]}'}
    joined = dict(type='mim_plugins.LoadAndCrop', crop=ours, **kept)
    rest = [{**step, 'type': 'mim_plugins.RandomFlip'} if step['type'] in _FLIPS else step for step in steps[2:]]
    dataset['pipeline'] = [ConfigDict(step) for step in (joined, *rest)]


def would_load_faster(cfg: Config) -> bool:
    """Whether :func:`use_fast_loading` takes this training's pipeline, and changes it."""
    trial = Config(dict(train_dataloader=deepcopy(cfg.get('train_dataloader'))))
    try:
        use_fast_loading(trial)
        TRANSFORMS.build(innermost_dataset(trial.train_dataloader)['pipeline'][0])
    except InputError:
        return False
    return innermost_dataset(trial.train_dataloader) != innermost_dataset(cfg.train_dataloader)
