"""RuntimeInfoHook leaves the same histories as mmengine's, and reads the device only when somebody looks."""
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.utils.data import DataLoader

from mim_plugins.engine.hooks import RuntimeInfoHook
from mim_plugins.engine.scalars import DeferredHistory, DeferredScalars, latest

NUMBER = itertools.count()


class Model(BaseModel):
    """Losses of two types, a value that is no loss, and one that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(.1, 1, 5))

    def forward(self, inputs, mode='tensor'):
        loss = (self.weight - inputs).square().sum()
        return dict(loss_a=loss, loss_b=loss.to(torch.bfloat16) / 7, accuracy=self.weight.detach()[:1])

    def parse_losses(self, losses):
        total, values = super().parse_losses(losses)
        return total, {**values, 'number': 3}


class Reader(Hook):
    """Looks at the loss in the middle of a window."""
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter % 4 == 1:
            assert runner.message_hub.get_scalar('train/loss').current() == outputs['loss'].item()
            self.seen.append(runner.message_hub.get_scalar('train/grad_norm').mean(2))


def train(folder: Path, hook: str, resume: bool = False, epochs: int = 3, accumulation: int = 1) -> Runner:
    data = DataLoader([dict(inputs=torch.tensor([index / 7])) for index in range(5)], batch_size=1)
    reader = Reader()
    runner = Runner(
        Model(), str(folder), train_dataloader=data, resume=resume, custom_hooks=[reader],
        optim_wrapper=dict(type='OptimWrapper', accumulative_counts=accumulation, clip_grad=dict(max_norm=.5),
                           optimizer=dict(type='SGD', lr=.01)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs), experiment_name=f'runtime_{next(NUMBER)}',
        default_hooks=dict(runtime_info=dict(type=hook), logger=dict(type='LoggerHook', interval=3)))
    runner.train()
    runner.seen = reader.seen
    return runner


def logged(folder: Path) -> list[dict]:
    lines = [json.loads(line) for path in sorted(folder.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if 'time' not in name} for line in lines]


def histories(hub: MessageHub | dict) -> dict[str, tuple[list, list]]:
    scalars = hub['log_scalars'] if isinstance(hub, dict) else hub.log_scalars
    return {name: tuple(part.tolist() for part in history.data) for name, history in scalars.items()
            if 'time' not in name}


@pytest.mark.parametrize('accumulation, updates', [(1, 15), (2, 8)])
def test_histories_logs_and_checkpoints_are_those_of_mmengine(tmp_path, accumulation, updates):
    names = ('RuntimeInfoHook', 'mim_plugins.RuntimeInfoHook')
    theirs, ours = (train(tmp_path / name, name, accumulation=accumulation) for name in names)
    found = histories(ours.message_hub)
    assert found == histories(theirs.message_hub) and ours.seen == theirs.seen
    assert len(found['train/loss'][0]) == 15 and len(found['train/grad_norm'][0]) == updates
    assert set(found['train/number'][0]) == {3}
    assert logged(tmp_path / names[0]) == logged(tmp_path / names[1]) != []
    saved = [torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)['message_hub'] for name in names]
    assert histories(saved[0]) == histories(saved[1]) and saved[0]['resumed_keys'] == saved[1]['resumed_keys']
    assert all(type(history) is HistoryBuffer for history in saved[1]['log_scalars'].values())
    kinds = {name: type(history) for name, history in ours.message_hub.log_scalars.items()}
    assert kinds['train/lr'] is kinds['train/time'] is kinds['train/number'] is DeferredHistory
    assert [len(ours.message_hub.get_scalar(name).data[0]) for name in ('train/time', 'train/data_time')] == [15, 15]


def test_a_resumed_run_goes_on_with_the_history(tmp_path):
    whole = train(tmp_path / 'whole', 'mim_plugins.RuntimeInfoHook')
    train(tmp_path / 'parts', 'mim_plugins.RuntimeInfoHook', epochs=2)
    resumed = train(tmp_path / 'parts', 'mim_plugins.RuntimeInfoHook', resume=True)
    assert histories(resumed.message_hub) == histories(whole.message_hub)


@pytest.fixture
def hub() -> MessageHub:
    return MessageHub.get_instance(f'hub_{next(NUMBER)}')


def test_what_nobody_reads_stays_on_the_device(hub, monkeypatch):
    scalars = DeferredScalars(hub)
    for number in range(3):
        scalars.add(dict(a=torch.tensor(number), b=torch.tensor([number + .5], dtype=torch.float64)))
    scalars.add(dict(a=torch.tensor(math.pi)))
    reads = []
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda values, old=torch.Tensor.tolist: reads.append(1) or old(values))
    assert reads == [] and latest(hub, 'b').item() == 2.5 and latest(hub, 'nothing') is None
    assert hub.get_scalar('a').mean(2) == pytest.approx((2 + math.pi) / 2) and len(reads) == 1
    assert hub.get_scalar('b').max() == 2.5 and latest(hub, 'b') == 2.5 and len(reads) == 1


def test_many_that_nobody_reads_are_brought_over(hub, monkeypatch):
    monkeypatch.setattr('mim_plugins.engine.scalars._MOST_WAITING', 4)
    scalars = DeferredScalars(hub)
    for number in range(5):
        scalars.add(dict(a=torch.tensor(float(number))))
    assert hub.log_scalars['a']._numbers.tolist() == [0, 1, 2, 3] and hub.get_scalar('a').current() == 4


def test_numbers_are_copies_and_carry_no_graph(hub):
    weight = torch.nn.Parameter(torch.ones(1))
    DeferredScalars(hub).add(dict(a=weight))
    with torch.no_grad():
        weight += 1
    assert hub.get_scalar('a').current() == 1


def test_a_history_keeps_its_past_its_order_and_its_length(hub):
    hub.log_scalars['a'] = HistoryBuffer([5., 6.], [1, 1], max_length=4)
    scalars = DeferredScalars(hub)
    scalars.add(dict(a=torch.tensor(7.)))
    hub.update_scalar('a', 8.)
    assert hub.get_scalar('a').current() == latest(hub, 'a') == 8
    scalars.add(dict(a=torch.tensor(9.)))
    assert hub.get_scalar('a').data[0].tolist() == [6, 7, 8, 9] and hub.get_scalar('a').data[1].tolist() == [1] * 4
    again = DeferredScalars(hub)  # of a second training in the same process
    scalars.add(dict(a=torch.tensor(10.)))
    again.add(dict(a=torch.tensor(11.)))
    assert hub.get_scalar('a').data[0].tolist() == [8, 9, 10, 11]
    assert isinstance(hub.get_scalar('a'), DeferredHistory)
    np.testing.assert_array_equal(hub.state_dict()['log_scalars']['a'].data[0], [8, 9, 10, 11])


def test_numbers_of_the_host_neither_read_the_device_nor_copy_their_past(hub, monkeypatch):
    copies, reads = [], []
    monkeypatch.setattr(np, 'append', lambda *parts, old=np.append: copies.append(1) or old(*parts))
    original = DeferredScalars.read
    monkeypatch.setattr(DeferredScalars, 'read', lambda scalars: reads.append(1) or original(scalars))
    hub.update_scalar('train/time', 0)
    hub.update_scalar('other', 0)
    scalars = DeferredScalars(hub)
    scalars.adopt('train/')
    for number in range(1, 1000):
        scalars.add(dict(loss=torch.tensor(float(number))))
        hub.update_scalar('train/time', number, count=2)
        assert hub.get_scalar('train/time').current() == number
    assert copies == reads == [] and type(hub.get_scalar('other')) is HistoryBuffer
    assert hub.get_scalar('train/time').mean() == pytest.approx(1000 * 999 / 2 / (1 + 2 * 999))
    assert len(copies) == 2 and reads == []
    assert hub.get_scalar('train/time').current() == 999 and hub.get_scalar('loss').max() == 999
    assert len(copies) == 4 and len(reads) == 1


def test_the_last_number_is_not_read_to_be_handed_on(hub, monkeypatch):
    scalars = DeferredScalars(hub)
    scalars.add(dict(norm=torch.tensor(3.)))
    scalars.read()
    scalars.add(dict(loss=torch.tensor(5.)))
    monkeypatch.setattr(DeferredScalars, 'read', None)
    assert latest(hub, 'norm') == 3 and latest(hub, 'loss') == torch.tensor(5.)
    assert DeferredHistory(scalars, HistoryBuffer()).latest() is None


def test_a_history_without_numbers_has_no_last_one(hub):
    with pytest.raises(ValueError, match='please call update first'):
        DeferredHistory(DeferredScalars(hub), HistoryBuffer()).current()


@pytest.mark.parametrize('number, count', [('a', 1), (1., None)])
def test_histories_take_numbers_only(hub, number, count):
    with pytest.raises(TypeError, match='a history takes numbers, but got'):
        DeferredHistory(DeferredScalars(hub), HistoryBuffer()).update(number, count)


def test_nothing_stays_on_the_device_behind_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(Reader, 'after_train_iter', lambda *parts, **options: None)
    waiting, original = [], RuntimeInfoHook.after_train_epoch

    def after_train_epoch(hook, runner):
        before = len(hook._scalars._waiting)
        original(hook, runner)
        waiting.append((before, len(hook._scalars._waiting)))

    monkeypatch.setattr(RuntimeInfoHook, 'after_train_epoch', after_train_epoch)
    train(tmp_path, 'mim_plugins.RuntimeInfoHook', epochs=1)
    (before, after), = waiting
    assert before > 0 and after == 0


def test_refuses_what_is_no_scalar(hub):
    with pytest.raises(RuntimeError, match=r"shape '\[\]' is invalid for input of size 2"):
        DeferredScalars(hub).add(dict(a=torch.zeros(2)))


def test_the_norm_of_gradients_that_are_spread_over_processes_is_the_whole_one(hub):
    """FSDP's parameters are DTensors, and so is their norm."""
    torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        weight = torch.nn.Parameter(distribute_tensor(torch.zeros(2), init_device_mesh('cpu', (1, )), [Shard(0)]))
        weight.grad = distribute_tensor(torch.tensor([3., 4.]), weight.device_mesh, [Shard(0)])
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.), clip_grad=dict(max_norm=1.))
        hook = RuntimeInfoHook()
        hook.before_train(SimpleNamespace(
            message_hub=hub, optim_wrapper=wrapper, epoch=0, iter=0, max_epochs=1, max_iters=1,
            train_dataloader=SimpleNamespace(dataset=None)))
        wrapper.step()
        assert hub.log_scalars['train/grad_norm'].current() == 5
        np.testing.assert_allclose(weight.detach().full_tensor(), [-.6, -.8], rtol=1e-5)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.gpu
def test_numbers_of_two_devices_come_over_together(hub):
    scalars = DeferredScalars(hub)
    scalars.add(dict(a=torch.tensor(1., device='cuda'), b=torch.tensor(2.)))
    scalars.add(dict(a=torch.tensor(3.)))
    assert hub.get_scalar('a').data[0].tolist() == [1, 3] and hub.get_scalar('b').current() == 2
