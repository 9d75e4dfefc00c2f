"""LossGuardHook in small trainings of mmengine's runner."""
import itertools
import math

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mim_plugins.engine.hooks import AtomicCheckpointHook, LossGuardHook
from mim_plugins.errors import InputError, NonFiniteLossError

NUMBER = itertools.count()


class Model(BaseModel):
    """Two losses, one of which is bad at one iteration."""

    def __init__(self, bad_at: int, value: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.bad_at, self.value, self.calls = bad_at, value, 0

    def forward(self, inputs, mode='tensor'):
        self.calls += 1
        scale = self.value if self.calls == self.bad_at else 1.
        return dict(loss_a=self.weight.square().sum(), loss_b=(self.weight * scale).sum())


def train(tmp_path, bad_at: int, interval: int = 50, value: float = math.nan, clip: bool = False,
          saving: dict | None = None, **hooks: dict) -> None:
    data = torch.utils.data.DataLoader([dict(inputs=torch.zeros(1))] * 4, batch_size=1)
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.01))
    if clip:
        wrapper['clip_grad'] = dict(max_norm=1.)
    runner = Runner(
        Model(bad_at, value), str(tmp_path), train_dataloader=data, optim_wrapper=wrapper,
        train_cfg=dict(by_epoch=True, max_epochs=3), experiment_name=f'guard_{next(NUMBER)}',
        default_hooks=dict(checkpoint=None, **hooks), custom_hooks=[
            LossGuardHook(interval), AtomicCheckpointHook(**(saving or dict(interval=1)))])
    runner.train()


def test_a_finite_run_is_left_alone(tmp_path):
    train(tmp_path, bad_at=0)
    assert (tmp_path / 'epoch_3.pth').is_file()


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('interval', [1, 3, 50])
def test_stops_before_the_next_checkpoint_and_names_the_iteration(tmp_path, interval, value):
    with pytest.raises(NonFiniteLossError, match='not finite since iteration 6: learning rate 0.01, gradient norm not '
                       r'recorded .*, 1 parameters are not finite by now \(first: weight\)'):
        train(tmp_path, bad_at=6, interval=interval, value=value)
    assert (tmp_path / 'epoch_1.pth').is_file() and not (tmp_path / 'epoch_2.pth').exists()
    stored = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert stored['weight'].isfinite().all()


def test_stops_before_a_checkpoint_by_iterations(tmp_path):
    with pytest.raises(NonFiniteLossError, match='since iteration 3'):
        train(tmp_path, bad_at=3, saving=dict(by_epoch=False, interval=2))
    assert (tmp_path / 'iter_2.pth').is_file() and not (tmp_path / 'iter_4.pth').exists()


@pytest.mark.parametrize('hook', ['RuntimeInfoHook', 'mim_plugins.RuntimeInfoHook'])
def test_names_the_gradient_norm_where_it_is_known(tmp_path, hook):
    with pytest.raises(NonFiniteLossError, match='since iteration 2: learning rate 0.01, gradient norm nan'):
        train(tmp_path, bad_at=2, clip=True, runtime_info=dict(type=hook))


def test_reads_on_all_processes_together(tmp_path, monkeypatch):
    """Another process's bad loss stops this one."""
    def reduce(flags, op):
        assert op == 'max'
        flags[1] = 1
    monkeypatch.setattr('mim_plugins.engine.hooks.loss_guard.all_reduce', reduce)
    with pytest.raises(NonFiniteLossError, match='since iteration 2: .* all parameters are still finite'):
        train(tmp_path, bad_at=0)


def test_refuses_an_interval_that_is_none():
    with pytest.raises(InputError, match='at least 1 iteration, but got 0'):
        LossGuardHook(0)
