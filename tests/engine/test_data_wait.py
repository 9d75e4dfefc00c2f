"""How much of a training is said to go by in waiting for data, on a clock that only moves when told."""
import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader, Dataset

from mim_plugins.engine.hooks import DataWaitHook
from mim_plugins.engine.wait_advice import cores_per_process, remedies
from mim_plugins.engine.wait_clock import WaitClock
from mim_plugins.errors import InputError
from mim_plugins.ops.jpeg_crops import EncodedBatch, EncodedCrop

NUMBER = itertools.count()
CPU = torch.device('cpu')
VALIDATION = dict(val_cfg={}, val_evaluator=[], val_dataloader=DataLoader([dict(inputs=torch.zeros(1))]))


class Time:
    """The host's clock, and a device that works off what is enqueued."""

    def __init__(self) -> None:
        self.now = self.device_free = 0.

    def perf_counter(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def enqueue(self, seconds: float) -> None:
        self.device_free = max(self.device_free, self.now) + seconds

    def event(self, enable_timing: bool) -> 'Event':
        return Event(self)


class Event:

    def __init__(self, time: Time) -> None:
        self.time = time

    def record(self) -> None:
        self.at = max(self.time.now, self.time.device_free)

    def synchronize(self) -> None:
        self.time.now = max(self.time.now, self.at)

    def elapsed_time(self, end: 'Event') -> float:
        assert self.time.now >= end.at, 'asked before the device was there'
        return 1000 * (end.at - self.at)


@pytest.fixture
def time(monkeypatch) -> Time:
    time = Time()
    monkeypatch.setattr('mim_plugins.engine.wait_clock.time', time)
    monkeypatch.setattr(torch.cuda, 'Event', time.event)
    return time


class Pictures(Dataset):

    def __init__(self, time: Time, seconds: float, number: int) -> None:
        self.time, self.seconds, self.number = time, seconds, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> dict:
        self.time.pass_by(100. if index == 0 else self.seconds)  # an epoch's start takes long
        return dict(inputs=torch.zeros(1))


class Model(BaseModel):

    def __init__(self, time: Time, seconds: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.time, self.seconds = time, seconds

    def forward(self, inputs, mode='tensor'):
        self.time.pass_by(self.seconds if mode == 'loss' else 1000.)
        return dict(loss=self.weight.sum()) if mode == 'loss' else [BaseDataElement()]


class Slow(Hook):
    """Takes its time behind the log, and at the start of an epoch."""
    priority = 'VERY_LOW'

    def __init__(self, time: Time, seconds: float) -> None:
        self.time, self.seconds = time, seconds

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.time.pass_by(self.seconds)

    def before_train_epoch(self, runner):
        self.time.pass_by(50)


def train(folder, time: Time, loading: float, step: float, hooks: float = 0., images: int = 13, epochs: int = 4,
          interval: int = 4, validate: bool = False, **options) -> tuple[list[float], str]:
    """All figures that were logged, and the log."""
    data = DataLoader(Pictures(time, loading, images), batch_size=1)
    loops = dict(train_cfg=dict(by_epoch=True, max_epochs=epochs))
    if validate:
        loops = dict(train_cfg=dict(by_epoch=False, max_iters=images, val_interval=7), **VALIDATION)
    runner = Runner(
        Model(time, step), str(folder), train_dataloader=data,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.01)),
        **loops, experiment_name=f'wait_{next(NUMBER)}',
        custom_hooks=[DataWaitHook(**options), *([Slow(time, hooks)] if hooks else [])],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=interval), checkpoint=None))
    runner.logger.setLevel('INFO')
    runner.train()
    lines = (json.loads(line) for path in folder.glob('*/vis_data/scalars.json') for line in
             path.read_text().splitlines())
    text = ''.join(path.read_text() for path in folder.glob('*/*.log'))
    return [line['data_wait'] for line in lines if 'data_wait' in line], text


@pytest.mark.parametrize('loading, step, share', [(3., 7., 30.), (0., 7., 0.), (9., 1., 90.)])
def test_the_share_is_that_of_the_steps_without_the_epochs_starts(tmp_path, time, loading, step, share):
    found, _ = train(tmp_path, time, loading, step)
    assert found == pytest.approx([share] * len(found)) and len(found) > 3


def test_neither_other_hooks_nor_validations_are_waiting(tmp_path, time):
    found, _ = train(tmp_path, time, 3., 5., hooks=2., images=41, interval=10, validate=True)
    assert found == pytest.approx([30., 30., 30.], rel=.02)


@pytest.mark.parametrize('loading, warns', [(3., True), (.5, False)])
def test_warns_above_the_threshold_and_says_what_to_change(tmp_path, time, monkeypatch, loading, warns):
    monkeypatch.setattr('mim_plugins.engine.wait_advice.cores_per_process', lambda: 8)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    _, text = train(tmp_path, time, loading, 7.)
    wanted = 'steps went by in waiting for data; what may help: train_dataloader.num_workers=6 instead of 0, for 8 '
    assert (wanted in text) == warns and ('30 % of the last' in text) == warns


@pytest.mark.parametrize('repeat, number', [(1, 5), (3, 2), (50, 1)])
def test_does_not_warn_at_every_reading(tmp_path, time, monkeypatch, repeat, number):
    warned = []
    monkeypatch.setattr(DataWaitHook, '_warn', lambda hook, *found: warned.append(found))
    found, _ = train(tmp_path, time, 3., 7., images=60, epochs=1, interval=10, repeat=repeat)
    assert len(warned) == number and len(found) == 5  # the first ten steps are nine without the start


def test_the_slowest_process_counts_and_the_first_one_tells(tmp_path, time, monkeypatch):
    place = 'mim_plugins.engine.hooks.data_wait.'

    def reduce(share, op):
        assert op == 'max' and share == pytest.approx(0)
        share.fill_(42.)

    monkeypatch.setattr(place + 'all_reduce', reduce)
    monkeypatch.setattr(place + 'get_world_size', lambda: 4)
    found, text = train(tmp_path / 'first', time, 0., 7.)
    assert set(found) == {42.}
    assert '42 % of the last 11 steps went by in waiting for data on the slowest of 4 processes; what' in text
    monkeypatch.setattr(place + 'is_main_process', lambda: False)
    assert 'waiting for data' not in train(tmp_path / 'other', time, 0., 7.)[1]


@pytest.mark.parametrize('options, sentence', [
    (dict(threshold=101), 'a percentage from 0 to 100, but is 101'), (dict(threshold=-1), 'but is -1'),
    (dict(threshold='abc'), "from 0 to 100, but is 'abc'"), (dict(repeat='x'), "between two warnings, but got 'x'"),
    (dict(repeat=0), 'at least 1 reading between two warnings, but got 0')])
def test_refuses_bad_options(options, sentence):
    with pytest.raises(InputError, match=sentence):
        DataWaitHook(**options)


@pytest.mark.parametrize('ready_every, on_device, share', [
    (8., 10., 0.),  # the host waits for most of each step, the device for nothing
    (15., 10., 4 / 15),  # and 1 in which the host enqueues the step
    (40., 10., 29 / 40),
])
def test_on_a_gpu_only_that_counts_for_which_the_device_had_nothing_to_do(time, ready_every, on_device, share):
    clock, ready = WaitClock(torch.device('cuda')), 0.
    clock.ask()
    for step in range(101):
        ready += ready_every
        time.now = max(time.now, ready)  # the batch comes
        clock.come(counted=step > 0)
        time.pass_by(1.)
        time.enqueue(on_device)
        if step == 100:
            assert clock.steps == 100 and clock.read() == pytest.approx(share, abs=.01)
        clock.ask()
    assert clock.steps == 0


def test_on_a_gpu_what_the_loader_itself_enqueues_is_not_lost(time):
    clock = WaitClock(torch.device('cuda'))
    clock.ask()
    time.pass_by(2.)
    time.enqueue(8.)  # decoding: the device is busy until 10
    clock.come(counted=True)
    time.pass_by(2.)
    assert clock.read() == pytest.approx(2 / 10)  # the reading waits for the device


def test_a_new_reading_begins_where_the_last_one_ended(time):
    clock = WaitClock(CPU)
    clock.ask()
    time.pass_by(5.)
    clock.come(counted=False)
    clock.ask()
    assert clock.start_up == 5 and clock.steps == 0
    for wait, share in ((1., 1 / 3), (9., 3 / 4)):
        time.pass_by(wait)
        clock.come(counted=True)
        time.pass_by(2.)
        assert clock.read() == pytest.approx(share)  # the 1 s behind it belongs to the next
        time.pass_by(1.)
        clock.ask()


def loader(data_root: str = '', **options) -> SimpleNamespace:
    dataset = SimpleNamespace(data_root=data_root)
    usual = dict(num_workers=7, persistent_workers=True, pin_memory=True, dataset=dataset)
    return SimpleNamespace(**{**usual, **options})


def batch(size: tuple[int, int]) -> dict:
    samples = [dict(inputs=torch.zeros(3, 128, 128), data_samples=BaseDataElement(metainfo=dict(ori_shape=size)))] * 2
    return default_collate(samples)


@pytest.mark.parametrize('found, given, fast, expected', [
    (loader(), batch((128, 256)), True, []),
    (loader(num_workers=2), {}, True, ['num_workers=7 instead of 2, for 8 cores per process']),
    (loader(persistent_workers=False), {}, True,
     ['persistent_workers=True, since each epoch begins with 2.5 s of waiting']),
    (loader(num_workers=0, persistent_workers=False), {}, True, ['num_workers=7 instead of 0']),
    (loader(pin_memory=False), {}, True, ['train_dataloader.pin_memory=True']),
    (loader(), batch((384, 512)), True,
     ['--fast-loading or pictures packed by tools/pack_images.py --short-side 256, since pictures have 12 times as '
      'many pixels as the 128x128']),
    (loader(), batch((384, 512)), False, ['pictures packed by tools/pack_images.py --short-side 256, since']),
    (loader(), batch((256, 512)), True, ['--fast-loading, since pictures have 8 times']),  # packing them brings nothing
    (loader(data_root='packed'), batch((384, 512)), True, ['--fast-loading, since']),
    (loader('packed'), batch((384, 512)), False, []),
])
def test_advice_follows_from_what_can_be_seen(monkeypatch, found, given, fast, expected):
    monkeypatch.setattr('mim_plugins.engine.wait_advice.cores_per_process', lambda: 8)
    monkeypatch.setattr('mim_plugins.engine.wait_advice.is_packed', lambda folder: folder == 'packed')
    *ways, last = remedies(found, given, torch.device('cuda'), 20., 2.5, fast)
    assert last.startswith('a cheaper pipeline, or faster storage such as a disk of this machine')
    assert ('more workers than cores where they wait for files' in last) == (found.num_workers == 7)
    assert len(ways) == len(expected)
    assert all(part in way for part, way in zip(expected, ways, strict=True))


def test_advice_for_pictures_that_the_device_decodes():
    crop = EncodedCrop(torch.zeros(9, dtype=torch.uint8), scale=(64, 128))
    given = dict(inputs=EncodedBatch([crop]), data_samples=[BaseDataElement(metainfo=dict(ori_shape=(384, 512)))])
    ways = remedies(loader(), given, torch.device('cuda'), 20., 0., False)
    assert 'pictures have 24 times as many pixels as the 64x128' in ways[-2]


def test_a_training_on_the_cpu_keeps_its_threads(monkeypatch):
    monkeypatch.setattr('mim_plugins.engine.wait_advice.cores_per_process', lambda: 8)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 8)
    assert len(remedies(loader(num_workers=0), {}, CPU, 60., 0., True)) == 1


@pytest.mark.parametrize('device, cores, workers, share, advised', [
    ('cpu', 2, 0, 50., False), ('cpu', 2, 0, 51., True), ('cpu', 3, 0, 20., True), ('cpu', 3, 1, 20., True),
    ('cuda', 2, 0, 20., True)])
def test_steps_on_few_cores_keep_them(monkeypatch, device, cores, workers, share, advised):
    monkeypatch.setattr('mim_plugins.engine.wait_advice.cores_per_process', lambda: cores)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    ways = remedies(loader(num_workers=workers), {}, torch.device(device), share, 0., True)
    assert (f'num_workers={cores - 1} instead of {workers}' in ways[0]) == advised


def test_processes_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda process: set(range(12)), raising=False)
    assert cores_per_process() == 12
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '8')
    assert cores_per_process() == 1
