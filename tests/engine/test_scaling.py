"""What the launch chooses for several processes."""
import os

import pytest
import torch
from mmengine.config import Config

from mim_plugins.engine.scaling import place_of_process, set_parallel
from mim_plugins.errors import InputError

PLACES = {
    'pytorch': dict(RANK='3', LOCAL_RANK='1', WORLD_SIZE='8'),
    'slurm': dict(SLURM_PROCID='3', SLURM_LOCALID='1', SLURM_NTASKS='8'),
    'mpi': dict(OMPI_COMM_WORLD_RANK='3', OMPI_COMM_WORLD_LOCAL_RANK='1', OMPI_COMM_WORLD_SIZE='8')}
MEETING = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT='29500')


@pytest.fixture(autouse=True)
def groups(monkeypatch) -> list[tuple]:
    """What groups were asked for, as (backend, rank, local rank, processes); this is the fourth process of eight."""
    for name, value in {**PLACES['pytorch'], **MEETING}.items():
        monkeypatch.setenv(name, value)
    made = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda backend: made.append(
        (backend, *(int(os.environ[name]) for name in PLACES['pytorch']))))
    return made


def config(launcher: str = 'pytorch', **more) -> Config:
    return Config(dict(launcher=launcher, optim_wrapper=dict(optimizer=dict(type='AdamW')), **more))


def test_one_process_is_left_alone(groups):
    cfg = config('none')
    set_parallel(cfg)
    assert cfg.to_dict() == config('none').to_dict() and groups == []


def test_mmengine_finds_the_place_on_the_machine(monkeypatch):
    """With GPUs it joins the processes by itself, and asks for this also where MPI has started them."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.delenv('LOCAL_RANK')
    for name, value in PLACES['mpi'].items():
        monkeypatch.setenv(name, value)
    set_parallel(config('mpi'))
    assert os.environ['LOCAL_RANK'] == '1'


@pytest.mark.parametrize('launcher', PLACES)
def test_processes_on_cpus_meet_over_gloo(monkeypatch, groups, launcher):
    for name in PLACES['pytorch']:
        monkeypatch.delenv(name)
    for name, value in PLACES[launcher].items():
        monkeypatch.setenv(name, value)
    set_parallel(config(launcher))
    assert groups == [('gloo', 3, 1, 8)] and place_of_process(launcher) == (3, 1, 8)


def test_on_gpus_they_meet_as_mmengine_lets_them(monkeypatch, groups):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    set_parallel(config())
    assert groups == []


@pytest.mark.parametrize('missing', [['MASTER_ADDR'], ['MASTER_PORT'], ['MASTER_ADDR', 'MASTER_PORT']])
def test_a_launcher_that_names_no_meeting_place_is_refused(monkeypatch, groups, missing):
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match=f'--launcher pytorch on CPUs needs {" and ".join(missing)} in the'):
        set_parallel(config())
    assert groups == []


@pytest.mark.parametrize('unused', [True, False])
def test_several_get_our_wrapper(unused):
    cfg = config(find_unused_parameters=unused)
    set_parallel(cfg)
    assert cfg.model_wrapper_cfg.type == 'mim_plugins.ReplicatedModel'
    assert cfg.model_wrapper_cfg.find_unused_parameters is unused and 'runner_type' not in cfg


def test_a_wrapper_of_the_config_stays():
    cfg = config(model_wrapper_cfg=dict(type='MMDistributedDataParallel'))
    set_parallel(cfg)
    assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', device_ids=None)


@pytest.mark.parametrize('option, more', [(True, {}), (False, dict(runner_type='mim_plugins.ShardedRunner'))])
def test_fsdp_brings_its_runner_and_the_plain_optimizer(option, more):
    cfg = config(**more)
    cfg.optim_wrapper.optimizer = dict(type='mim_plugins.ShardedOptimizer', optimizer_type='AdamW', lr=.1)
    set_parallel(cfg, fsdp=option)
    assert cfg.runner_type == 'mim_plugins.ShardedRunner'
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=.1)


@pytest.mark.parametrize('cfg, sentence', [
    (config('none'), '--fsdp spreads a model over several processes: start with'),
    (config(runner_type='FlexibleRunner'), "but the config has runner_type='FlexibleRunner'"),
])
def test_fsdp_is_refused(cfg, sentence):
    with pytest.raises(InputError, match=sentence):
        set_parallel(cfg, fsdp=True)
