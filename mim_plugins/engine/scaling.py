"""How a model meets several processes: what the launch sets in a config."""
import torch
from mmengine.config import Config

from ..errors import InputError

_SHARDED = 'mim_plugins.ShardedRunner'


def set_parallel(cfg: Config, fsdp: bool = False) -> None:
    """Choose the wrapper or the runner for several processes, and join them where mmengine cannot.

    A config's own ``model_wrapper_cfg`` and ``runner_type`` stay.

    Args:
        cfg: Its ``launcher`` is set.
        fsdp: Spread the model over the processes.

    Raises:
        InputError: A model to be spread without a launcher, or besides another runner.
    """
    if fsdp or cfg.get('runner_type') == _SHARDED:
        _set_fsdp(cfg)
    if cfg.launcher == 'none':
        return
    cfg.setdefault('model_wrapper_cfg', dict(
        type='mim_plugins.ReplicatedModel', find_unused_parameters=cfg.get('find_unused_parameters', False)))
    if not torch.cuda.is_available():
        cfg.model_wrapper_cfg.setdefault('device_ids', None)
        torch.distributed.init_process_group('gloo')  # mmengine's own start asks for a CUDA device


def _set_fsdp(cfg: Config) -> None:
    if cfg.launcher == 'none':
        raise InputError('--fsdp spreads a model over several processes: start with tools/dist_train.sh, '
                         'tools/slurm_train.sh or torchrun')
    if cfg.get('runner_type', _SHARDED) != _SHARDED:
        raise InputError(f'--fsdp brings its own runner, but the config has runner_type={cfg.runner_type!r}')
    cfg.runner_type = _SHARDED
    optimizer = cfg.optim_wrapper.optimizer
    if str(optimizer.get('type')).endswith('ShardedOptimizer'):  # all of it is spread now
        optimizer.type = optimizer.pop('optimizer_type')
