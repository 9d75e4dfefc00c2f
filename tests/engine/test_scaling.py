"""What the launch chooses for several processes."""
import pytest
import torch
from mmengine.config import Config

from mim_plugins.engine.scaling import set_parallel
from mim_plugins.errors import InputError


@pytest.fixture(autouse=True)
def _no_group(monkeypatch):
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda backend: None)


def config(launcher: str = 'pytorch', **more) -> Config:
    return Config(dict(launcher=launcher, optim_wrapper=dict(optimizer=dict(type='AdamW')), **more))


def test_one_process_is_left_alone():
    cfg = config('none')
    set_parallel(cfg)
    assert cfg.to_dict() == config('none').to_dict()


@pytest.mark.parametrize('unused', [True, False])
def test_several_get_our_wrapper(unused):
    cfg = config(find_unused_parameters=unused)
    set_parallel(cfg)
    assert cfg.model_wrapper_cfg.type == 'mim_plugins.ReplicatedModel'
    assert cfg.model_wrapper_cfg.find_unused_parameters is unused and 'runner_type' not in cfg


def test_a_wrapper_of_the_config_stays(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
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
