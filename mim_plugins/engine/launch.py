"""From a config file and the command line's options to a config that a runner can take.

Only mmengine is imported here, so that a wrong path is told before mmpretrain's slow import.
"""
import inspect
import logging
import warnings
from argparse import Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checkpoints import check_file, check_harmless, latest_checkpoint
from ..errors import InputError
from .compilation import set_compilation
from .loading import use_fast_loading
from .scaling import set_parallel, world_size

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# What mmengine reads of a config beyond the arguments of its runner.
_FURTHER_KEYS = {
    'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn'}


def load_config(path: str, options: dict | None = None, data_root: str | None = None,
                further_keys: Collection[str] = ()) -> Config:
    """Read a config and merge ``options`` (dotted key -> value) into it.

    Args:
        path: Config file.
        options: What to override; only keys that a runner reads, since a config's own helper variables
            have done their work when it is read.
        data_root: Train on the images below this folder instead of the config's; options come later.
        further_keys: What else of the config is read, by the tool that asks.

    Raises:
        InputError: No such file, or an option that nothing reads.
    """
    if not Path(path).is_file():
        raise InputError(f'no config file at {path}')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # whatever the config's own code raises
        raise InputError(f'{path} cannot be read as a config: {_one_line(error)}') from error
    read = {*inspect.signature(Runner.__init__).parameters, *_FURTHER_KEYS, *further_keys}
    for key in options or {}:
        if key.split('.')[0] not in read:
            raise InputError(f'unknown option {key}: nothing reads it after the config itself; what can be set: '
                             f'{", ".join(sorted(read & set(cfg)))}')
    if data_root:
        set_data_root(cfg, data_root)
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError) as error:
        raise InputError(f'the options do not fit the config: {_one_line(error)}') from error
    _check_keys(cfg)
    _check_values(cfg)
    return cfg


def _one_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())


def _check_values(cfg: Config) -> None:
    """Refuse values that mmengine would stumble over only deep inside."""
    for name in _LOADERS:
        _check_whole_number(cfg, f'{name}.batch_size', 1)
        _check_whole_number(cfg, f'{name}.num_workers', 0)
    _check_whole_number(cfg, 'optim_wrapper.accumulative_counts', 1)
    lr = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr', 1.)
    if not isinstance(lr, (int, float)):
        raise InputError(f'optim_wrapper.optimizer.lr must be a number, but is {lr!r}')
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if isinstance(hook, dict) and 'type' not in hook:
            others = ', '.join(sorted(set(hooks) - {name}))
            raise InputError(f'default_hooks has no {name} to change; it has {others}')


def _check_whole_number(cfg: Config, name: str, least: int) -> None:
    """Refuse anything else in the part and key that ``name`` joins, if it is set."""
    part, key = name.split('.')
    value = (cfg.get(part) or {}).get(key, least)
    if type(value) is not int or value < least:  # a bool is none
        raise InputError(f'{name} must be a whole number of at least {least}, but is {value!r}')


def _check_keys(cfg: Config) -> None:
    """Refuse misspelt keys in the two places where mmengine would not notice them."""
    known = {'auto_scale_lr': {'enable', 'base_batch_size', 'scaled_to'}}
    found = {'auto_scale_lr': cfg.get('auto_scale_lr') or {}}
    wrapper = cfg.get('optim_wrapper') or {}
    if 'constructor' not in wrapper:
        known['paramwise_cfg'] = {
            'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
            'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'}
        found['paramwise_cfg'] = wrapper.get('paramwise_cfg') or {}
    for name, keys in found.items():
        unknown = sorted(set(keys) - known[name])
        if unknown:
            raise InputError(f'unknown keys in {name}: {", ".join(unknown)}; it takes {", ".join(sorted(known[name]))}')


def _datasets(cfg: Config, loaders: tuple[str, ...]) -> Iterator[tuple[str, dict]]:
    """Every dataset config with the name of its loader, wrappers unpacked."""
    for name in loaders:
        found = [(cfg.get(name) or {}).get('dataset')]
        while found:
            dataset = found.pop()
            if isinstance(dataset, dict):
                yield name, dataset
                found += [dataset.get('dataset'), *(dataset.get('datasets') or [])]


def check_data_paths(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Refuse a data root that is not there; remote ones (``scheme://``) are not looked at.

    Raises:
        InputError: A ``data_root`` of one of the loaders does not exist.
    """
    for loader, dataset in _datasets(cfg, loaders):
        root = dataset.get('data_root')
        if root and '://' not in root and not Path(root).expanduser().exists():
            raise InputError(f'no data at {Path(root).expanduser().absolute()} (data_root of {loader}): make it, or '
                             'name another folder')


def set_data_root(cfg: Config, root: str) -> None:
    """Let training read all images below ``root``, whatever list of files the config had.

    Raises:
        InputError: The config has no training data root, or several.
    """
    found = [dataset for _, dataset in _datasets(cfg, _LOADERS[:1]) if 'data_root' in dataset]
    if len(found) != 1:
        raise InputError(f'--data-root needs a config with one training data_root, but this has {len(found)}')
    found[0].update({key: '' for key in ('ann_file', 'data_prefix') if key in found[0]}, data_root=root)
    for step in found[0].get('pipeline', []):
        if 'image_root' in step and str(step.get('type')).endswith('LoadOfflineTarget'):
            step.update(image_root=root)


def effective_batch(cfg: Config, processes: int) -> int:
    """Samples per optimizer step: processes x batch per process x accumulation."""
    return processes * cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


def scale_lr(cfg: Config, processes: int) -> None:
    """Scale the learning rate linearly from the recipe's base batch to the effective batch.

    Unlike mmengine's own switch this counts gradient accumulation.

    Raises:
        InputError: The config names no base batch.
    """
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    if not base:
        raise InputError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    batch = effective_batch(cfg, processes)
    cfg.optim_wrapper.optimizer.lr *= batch / base
    cfg.auto_scale_lr.update(enable=False, scaled_to=batch)


def _set_precision(cfg: Config, amp: str | None) -> None:
    wrapper = cfg.optim_wrapper
    if amp:
        # bf16 has float32's range: a loss scale would only cost time.
        wrapper.update(type='AmpOptimWrapper', dtype={'bf16': 'bfloat16', 'fp16': 'float16'}[amp],
                       loss_scale='dynamic' if amp == 'fp16' else dict(enabled=False))
    if wrapper.get('type') == 'AmpOptimWrapper' and not torch.cuda.is_available():
        if amp:
            raise InputError(f'--amp {amp} needs a GPU, and torch sees none here: leave it out for float32')
        print_log('torch sees no GPU: training in float32 instead of mixed precision')
        wrapper.type = 'OptimWrapper'
        wrapper.pop('dtype', None)
        wrapper.pop('loss_scale', None)


def _prepare(args: Namespace, loaders: tuple[str, ...]) -> Config:
    """What training and testing share."""
    cfg = load_config(args.config, args.cfg_options, getattr(args, 'data_root', None))
    check_data_paths(cfg, loaders)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    try:
        Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'the work dir {cfg.work_dir} cannot be made: {error.strerror}') from error
    cfg.launcher = args.launcher
    for name in _LOADERS:
        if cfg.get(name):
            cfg[name].setdefault('pin_memory', torch.cuda.is_available())
            if cfg.get('default_scope') == 'mmpretrain':  # mmdet and mmseg keep images of different sizes in lists
                cfg[name].setdefault('collate_fn', dict(type='default_collate'))
            workers = cfg[name].get('num_workers', 0) > 0
            cfg[name].persistent_workers = workers and cfg[name].get('persistent_workers', True)
    if not torch.cuda.is_available() and _revert_sync_norms(cfg.get('model')):
        print_log('torch sees no GPU: BN instead of SyncBN')
    return cfg


def _revert_sync_norms(settings: Any) -> int:
    """Replace SyncBN in nested settings by BN, which a CPU needs; returns how many there were."""
    if isinstance(settings, list | tuple):
        return sum(map(_revert_sync_norms, settings))
    if not isinstance(settings, dict):
        return 0
    found = settings.get('type') == 'SyncBN'
    if found:
        settings['type'] = 'BN'
    return found + sum(map(_revert_sync_norms, settings.values()))


def _check_checkpoint(path: str | None, own: bool = False) -> None:
    if path and '://' not in path:
        check_file(path)
        if not own:
            check_harmless(path)  # mmengine's reader would run what it holds


def _set_encoder(cfg: Config, path: str | None) -> None:
    """Start from the encoder in this file instead of the config's, and look at it before the data is read."""
    hook = (cfg.get('default_hooks') or {}).get('encoder')
    if path and not hook:
        raise InputError('--encoder is for configs that start from a pre-trained encoder, with default_hooks.encoder; '
                         'this one has none')
    if path:
        hook.checkpoint = None if path == 'none' else path
    if hook and hook.get('checkpoint'):
        check_file(hook.checkpoint)


def prepare_training(args: Namespace) -> Config:
    """Read the config and apply the options of ``tools/train.py``.

    Raises:
        InputError: A path or an option does not fit.
    """
    cfg = _prepare(args, _LOADERS[:2])
    if not cfg.get('train_dataloader') or not cfg.get('optim_wrapper'):
        raise InputError(f'{args.config} is not a training config: it has no train_dataloader or optim_wrapper')
    latest = latest_checkpoint(cfg.work_dir)
    if args.resume == 'auto' and latest is None:
        print_log(f'nothing to resume in {cfg.work_dir}: starting from epoch 0', level=logging.WARNING)
    elif args.resume:
        cfg.resume = True
        cfg.load_from = str(latest) if args.resume == 'auto' else args.resume
    _check_checkpoint(cfg.get('load_from'), own=cfg.get('resume', False))
    if not cfg.get('resume') and not cfg.get('load_from'):
        _set_encoder(cfg, args.encoder)
    elif args.encoder:
        raise InputError(f'--encoder starts a training, but this one goes on from {cfg.load_from}: leave one out')
    if getattr(args, 'fast_loading', False):
        use_fast_loading(cfg)
    if cfg.optim_wrapper.get('accumulative_counts', 1) > 1:  # schedules go on with every batch
        warnings.filterwarnings('ignore', r'Detected call of `scheduler\.step\(\)` before `optimizer\.step\(\)`')
    _set_precision(cfg, args.amp)
    set_compilation(cfg, getattr(args, 'compile', None))
    processes = world_size(args.launcher)
    if args.auto_scale_lr or cfg.get('auto_scale_lr', {}).get('enable'):
        scale_lr(cfg, processes)
    set_parallel(cfg, fsdp=getattr(args, 'fsdp', False))
    return cfg


def _augment_test(cfg: Config, path: str) -> None:
    """Test with the config's ``tta_pipeline``, and its ``tta_model`` around the model to join the predictions."""
    if not {'tta_pipeline', 'tta_model'} <= set(cfg):
        raise InputError(f'--tta needs tta_pipeline and tta_model in the config, and {path} has not both')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def prepare_testing(args: Namespace) -> Config:
    """Read the config and apply the options of ``tools/test.py``.

    Raises:
        InputError: A path does not fit, or the config has no test loop or nothing for the test-time augmentation.
    """
    cfg = _prepare(args, _LOADERS[2:])
    cfg.pop('compile', None)  # a test runs as it is written, compilers or not
    if not cfg.get('test_dataloader'):
        raise InputError(f'{args.config} has no test loop; for the features of a pre-training run use '
                         'tools/evaluate_run.py')
    _check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    if args.tta:
        _augment_test(cfg, args.config)
    # A test of weights that arrived in part would report the accuracy of random ones.
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mim_plugins.StrictLoadHook', coverage=1.)]
    world_size(args.launcher)
    set_parallel(cfg)
    return cfg
