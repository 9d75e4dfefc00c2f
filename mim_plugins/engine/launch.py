"""From a config file and the command line's options to a config that a runner can take.

Only mmengine is imported here, so that a wrong path is told before mmpretrain's slow import.
"""
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..errors import InputError

_WORLD_SIZE = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}
# Keys that a runner or our tools read although a config need not have them.
_OPTIONAL_KEYS = {'work_dir', 'load_from', 'resume', 'randomness', 'compile', 'auto_scale_lr', 'custom_hooks',
                  'find_unused_parameters', 'activation_checkpointing', 'model_wrapper_cfg', 'sync_bn',
                  'experiment_name', 'custom_imports', 'val_dataloader', 'val_cfg', 'val_evaluator',
                  'test_dataloader', 'test_cfg', 'test_evaluator', 'param_scheduler', 'runner_type'}


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge ``options`` (dotted key -> value) into it.

    Raises:
        InputError: No such file, or an option whose first key the config does not know.
    """
    if not Path(path).is_file():
        raise InputError(f'no config file at {path}')
    cfg = Config.fromfile(path)
    known = set(cfg) | _OPTIONAL_KEYS
    for key in options or {}:
        if key.split('.')[0] not in known:
            raise InputError(f'unknown option {key}: the config has {", ".join(sorted(cfg))}')
    if options:
        cfg.merge_from_dict(options)
    cfg.setdefault('work_dir', str(Path('work_dirs') / Path(path).stem))
    return cfg


def _datasets(cfg: Config) -> Iterator[tuple[str, dict]]:
    """Every dataset config with the name of its loader, wrappers unpacked."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        found = [loader.get('dataset')] if loader else []
        while found:
            dataset = found.pop()
            if isinstance(dataset, dict):
                yield name, dataset
                found += [dataset.get('dataset'), *(dataset.get('datasets') or [])]


def check_data_paths(cfg: Config, splits: tuple[str, ...] = ('train', 'val')) -> None:
    """Refuse a data root that is not there; remote ones (``scheme://``) are not looked at.

    Args:
        cfg: Whole config.
        splits: Loaders to look at.

    Raises:
        InputError: A ``data_root`` does not exist.
    """
    for loader, dataset in _datasets(cfg):
        root = dataset.get('data_root')
        wanted = loader.removesuffix('_dataloader') in splits
        if wanted and root and '://' not in root and not Path(root).exists():
            raise InputError(f'no data at {Path(root).absolute()} (data_root of {loader}): '
                             'make it, or name another with --data-root')


def set_data_root(cfg: Config, root: str) -> None:
    """Let training read the images below ``root``, whatever the config's own files were."""
    roots = [dataset for loader, dataset in _datasets(cfg) if loader == 'train_dataloader' and 'data_root' in dataset]
    if len(roots) != 1:
        raise InputError(f'--data-root needs a config with one training data_root, but this has {len(roots)}')
    roots[0].data_root = root
    if 'ann_file' in roots[0]:
        roots[0].ann_file = ''


def world_size(launcher: str) -> int:
    """Number of processes that the launcher announces in the environment."""
    if launcher == 'none':
        return 1
    name = _WORLD_SIZE[launcher]
    if name not in os.environ:
        raise InputError(f'--launcher {launcher} needs the environment variable {name}: '
                         'start with tools/dist_train.sh, tools/slurm_train.sh or torchrun')
    return int(os.environ[name])


def effective_batch(cfg: Config, processes: int) -> int:
    """Samples per optimizer step: processes x batch per process x accumulation."""
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    return processes * cfg.train_dataloader.batch_size * accumulation


def scale_lr(cfg: Config, processes: int) -> None:
    """Scale the learning rate linearly from the recipe's base batch to the effective batch.

    Unlike mmengine's own switch this counts gradient accumulation.

    Raises:
        InputError: The config names no base batch.
    """
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    if not base:
        raise InputError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.optim_wrapper.optimizer.lr *= effective_batch(cfg, processes) / base
    cfg.auto_scale_lr.update(enable=False, base_batch_size=effective_batch(cfg, processes))


def _set_precision(cfg: Config, amp: str | None) -> None:
    wrapper = cfg.optim_wrapper
    if amp:
        # bf16 has float32's range: a loss scale would only cost time.
        wrapper.update(type='AmpOptimWrapper', dtype={'bf16': 'bfloat16', 'fp16': 'float16'}[amp],
                       loss_scale='dynamic' if amp == 'fp16' else dict(enabled=False))
    if wrapper.get('type') == 'AmpOptimWrapper' and not torch.cuda.is_available():
        if amp:
            raise InputError(f'--amp {amp} needs a GPU, and torch sees none here')
        print_log('torch sees no GPU: training in float32 instead of mixed precision', 'current')
        wrapper.type = 'OptimWrapper'
        for key in ('dtype', 'loss_scale'):
            wrapper.pop(key, None)


def _start_cpu_processes(cfg: Config) -> None:
    """Join the processes over gloo: mmengine's own start asks for a CUDA device."""
    torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))


def prepare_training(args: Namespace) -> Config:
    """Read the config and apply the options of ``tools/train.py``.

    Raises:
        InputError: A path or an option does not fit.
    """
    cfg = load_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    check_data_paths(cfg)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    cfg.launcher = args.launcher
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if cfg.get('load_from') and '://' not in cfg.load_from and not Path(cfg.load_from).is_file():
        raise InputError(f'no checkpoint at {cfg.load_from}')
    _set_precision(cfg, args.amp)
    processes = world_size(args.launcher)
    if args.auto_scale_lr or cfg.get('auto_scale_lr', {}).get('enable'):
        scale_lr(cfg, processes)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            defaults = dict(pin_memory=torch.cuda.is_available(), collate_fn=dict(type='default_collate'),
                            persistent_workers=cfg[name].get('num_workers', 0) > 0)
            cfg[name] = ConfigDict({**defaults, **cfg[name]})
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        _start_cpu_processes(cfg)
    return cfg
