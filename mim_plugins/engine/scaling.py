"""How a model meets several processes: where this one stands, and what the launch sets in a config."""
import os

import torch
from mmengine.config import Config

from ..errors import InputError

_SHARDED = 'mim_plugins.ShardedRunner'
_WORLD_SIZE = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}


def world_size(launcher: str) -> int:
    """Number of processes that the launcher announces in the environment.

    Raises:
        InputError: It announces none.
    """
    if launcher == 'none':
        return 1
    name = _WORLD_SIZE[launcher]
    if name not in os.environ:
        raise InputError(f'--launcher {launcher} needs the environment variable {name}: start with '
                         'tools/dist_train.sh, tools/slurm_train.sh or torchrun')
    return int(os.environ[name])


def place_of_process(launcher: str) -> tuple[int, int, int]:
    """Rank of this process, its rank on this machine, and number of processes; torchrun needs no launcher's name."""
    names = {'slurm': ('SLURM_PROCID', 'SLURM_LOCALID'), 'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK')}
    if launcher == 'none' and 'RANK' in os.environ:
        launcher = 'pytorch'
    processes = world_size(launcher)
    rank, local = (int(os.environ.get(name, 0)) for name in names.get(launcher, ('RANK', 'LOCAL_RANK')))
    return (rank, local, processes) if launcher != 'none' else (0, 0, 1)


def set_parallel(cfg: Config, fsdp: bool = False) -> None:
    """Choose the wrapper or the runner for several processes, and join them where mmengine cannot.

    A config's own ``model_wrapper_cfg`` and ``runner_type`` stay.

    Args:
        cfg: Its ``launcher`` is set.
        fsdp: Spread the model over the processes.

    Raises:
        InputError: A model to be spread without a launcher, or besides another runner; or a launcher on CPUs that does
            not tell where the processes meet.
    """
    if fsdp or cfg.get('runner_type') == _SHARDED:
        _set_fsdp(cfg)
    if cfg.launcher == 'none':
        return
    cfg.setdefault('model_wrapper_cfg', dict(
        type='mim_plugins.ReplicatedModel', find_unused_parameters=cfg.get('find_unused_parameters', False)))
    if torch.cuda.is_available():  # mmengine joins them, but by MPI it forgets what its own wrappers read
        os.environ.setdefault('LOCAL_RANK', str(place_of_process(cfg.launcher)[1]))
    else:
        cfg.model_wrapper_cfg.setdefault('device_ids', None)
        _join(cfg.launcher)


def _join(launcher: str) -> None:
    """Meet the other processes over gloo; mmengine's own start asks for a CUDA device."""
    missing = [name for name in ('MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise InputError(f'--launcher {launcher} on CPUs needs {" and ".join(missing)} in the environment, where the '
                         'first process listens')
    names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')  # where torch and mmengine look for them
    os.environ.update(zip(names, map(str, place_of_process(launcher)), strict=True))
    torch.distributed.init_process_group('gloo')


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
