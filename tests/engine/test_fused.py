"""The fused AdamW of our schedules updates as the plain one, and goes on from checkpoints of it."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mim_plugins.engine.optim import ShardedOptimizer
from mim_plugins.registry import MODELS

from ..runs import ROOT

BASES = ROOT / 'configs/_base_'
SCHEDULES = sorted(path for folder in ('schedules', 'detection/schedules', 'segmentation/schedules', 'transfer')
                   for path in (BASES / folder).glob('*.py') if 'demo_detection' not in path.name
                   and 'demo_segmentation' not in path.name)


@pytest.mark.parametrize('path', SCHEDULES, ids=lambda path: path.relative_to(BASES).as_posix())
def test_every_schedule_with_adamw_is_fused(path: Path):
    optimizer = Config.fromfile(path).optim_wrapper.optimizer
    assert optimizer.get('fused', False) == (optimizer.type == 'AdamW') and optimizer.type in ('AdamW', 'LARS')


def wrapped(model: torch.nn.Module, fused: bool | None, device: str = 'cpu', **options):
    settings = copy.deepcopy(Config.fromfile(BASES / 'schedules/demo_3e.py').optim_wrapper)
    settings.optimizer.update(fused=fused, lr=.01)
    if fused is None:
        settings.optimizer.pop('fused')
    settings.update(options)
    return build_optim_wrapper(model.to(device), settings)


def step(model, wrapper, number: int) -> None:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(number)
    with wrapper.optim_context(model):
        loss = sum((parameter * torch.randn(parameter.shape, generator=generator).to(device)).sum()
                   for parameter in model.parameters() if parameter.requires_grad)
    wrapper.update_params(loss)


def assert_equal_weights(model, other) -> None:
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: f'{name}: {text}')


LAYERWISE = dict(constructor='mim_plugins.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=.7))


@pytest.mark.parametrize('options', [{}, dict(accumulative_counts=2, clip_grad=dict(max_norm=1.)), LAYERWISE],
                         ids=['plain', 'accumulated', 'layerwise'])
def test_updates_are_the_same(small_model, options):
    other = copy.deepcopy(small_model)
    wrappers = [wrapped(small_model, True, **options), wrapped(other, None, **options)]
    for number in range(6):
        step(small_model, wrappers[0], number)
        step(other, wrappers[1], number)
    assert_equal_weights(small_model, other)
    assert all(group['fused'] for group in wrappers[0].optimizer.param_groups)


@pytest.mark.parametrize('before, after', [(None, True), (True, None)])
def test_goes_on_from_a_checkpoint_of_the_other_kind(small_model, before, after):
    """Also from one whose groups do not know the word."""
    other = copy.deepcopy(small_model)
    whole, first = wrapped(other, None), wrapped(small_model, before)
    for number in range(3):
        step(other, whole, number)
        step(small_model, first, number)
    state = first.state_dict()
    if before is None:
        for group in state['param_groups']:
            del group['fused']
    second = wrapped(small_model, after)
    second.load_state_dict(state)
    for number in range(3, 6):
        step(other, whole, number)
        step(small_model, second, number)
    assert_equal_weights(small_model, other)


def test_the_sharded_optimizer_passes_it_on():
    optimizer = ShardedOptimizer([torch.nn.Parameter(torch.zeros(2))], 'AdamW', lr=.1, fused=True)
    assert optimizer.param_groups[0]['fused']


@pytest.mark.gpu
@pytest.mark.parametrize('clip', [None, dict(max_norm=1.)])
def test_updates_are_the_same_under_a_loss_scale(small_config, clip):
    """fp16: the fused update divides by the scale itself, and leaves a step out without asking the host."""
    models = [MODELS.build(small_config)]
    models.append(copy.deepcopy(models[0]))
    wrappers = [wrapped(model, fused, 'cuda', type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic',
                        clip_grad=clip and dict(clip)) for model, fused in zip(models, (True, None), strict=True)]
    for number in range(6):
        for model, wrapper in zip(models, wrappers, strict=True):
            step(model, wrapper, number)
    assert_equal_weights(*models)
