"""ProgressiveResolutionHook: sizes, resume in every stage, batch sizes, refusals."""
import copy
import itertools
import json
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mim_plugins.engine import launch
from mim_plugins.engine.hooks import ProgressiveResolutionHook
from mim_plugins.errors import InputError

from ..runs import ROOT, TRAIN, no_workers_left, run_tool_in_two, small_run

CONFIG = ROOT / 'configs' / 'demo' / 'fastmim-p_swin-micro_bs64_demo-32-64.py'
NUMBER = itertools.count()


class Recorder(Hook):
    """Notes what each iteration saw; ends the process's run after an epoch, as a kill would."""
    priority = 'LOWEST'

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[dict] = []
        self.stop_after = stop_after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        backbone = runner.model.backbone
        attention = (backbone.stages if hasattr(backbone, 'stages') else backbone.layers)[0].blocks[0].attn
        self.seen.append(dict(
            size=tuple(data_batch['inputs'].shape[-2:]), batch=len(data_batch['inputs']),
            window=getattr(attention, 'current_window', attention.window_size),
            loss=outputs['loss'].item(), lr=runner.optim_wrapper.param_groups[0]['lr']))

    def after_train_epoch(self, runner):
        if self.stop_after is not None and runner.epoch + 1 == self.stop_after:
            raise KeyboardInterrupt


def train(images: Path, work_dir: Path, *, config: Path = CONFIG, stop_after: int | None = None,
          resume: str | None = None, **options: object) -> list[dict]:
    """Train the demo recipe on 16 pictures, a few iterations per stage."""
    defaults = {
        'train_dataloader.batch_size': 4, 'train_dataloader.dataset.indices': None,
        'default_hooks.checkpoint.max_keep_ckpts': 9, 'default_hooks.logger.interval': 1,
        'model.backbone.drop_path_rate': 0.2}
    cfg = launch.prepare_training(Namespace(
        config=str(config), cfg_options={**defaults, **copy.deepcopy(options)}, data_root=str(images),
        work_dir=str(work_dir), resume=resume, encoder=None, amp=None, auto_scale_lr=False, launcher='none'))
    cfg.experiment_name = f'progressive_{next(NUMBER)}'
    runner, recorder = Runner.from_cfg(cfg), Recorder(stop_after)
    runner.register_hook(recorder)
    with no_workers_left():
        if stop_after is None:
            runner.train()
        else:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
    return recorder.seen


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory) -> Path:
    """Of the run that never stopped."""
    return tmp_path_factory.mktemp('straight')


@pytest.fixture(scope='module')
def straight(images, work_dir) -> list[dict]:
    return train(images, work_dir)


def test_each_stage_has_its_size_and_windows(straight):
    assert [seen['size'] for seen in straight] == [(32, 32)] * 4 + [(48, 48)] * 4 + [(64, 64)] * 4
    assert [seen['window'] for seen in straight] == [2] * 4 + [3] * 4 + [4] * 4
    assert all(seen['loss'] < 1e4 for seen in straight)


def assert_equal_runs(found: list[dict], expected: list[dict]) -> None:
    for whole, parts in zip(expected, found, strict=True):
        assert parts == {**whole, 'loss': pytest.approx(whole['loss'], rel=1e-5)}


@pytest.mark.parametrize('epoch', [1, 2])
def test_resumed_in_any_stage_equals_never_stopped(images, tmp_path, straight, work_dir, epoch):
    resumed = train(images, tmp_path, resume=str(work_dir / f'epoch_{epoch}.pth'))
    assert_equal_runs(resumed, straight[4 * epoch:])


@pytest.mark.processes
def test_stopped_and_resumed_with_loading_workers_equals_never_stopped(images, tmp_path, straight):
    options = {'train_dataloader.num_workers': 2}
    first = train(images, tmp_path, stop_after=1, **options)
    second = train(images, tmp_path, resume='auto', **options)
    assert [*map(len, (first, second))] == [4, 8]
    assert_equal_runs(first + second, straight)


def test_mixed_images(images, tmp_path):
    """MixMIM through two sizes, resumed in the second one."""
    hook = dict(type='mim_plugins.ProgressiveResolutionHook',
                stages=[dict(epochs=1, size=32), dict(epochs=2, size=(48, 64))])
    options = dict(config=CONFIG.with_name('mixmim_mixmim-micro_bs64_demo-32.py'),
                   **{'default_hooks.progressive': hook})
    whole = train(images, tmp_path / 'whole', **options)
    assert [seen['size'] for seen in whole] == [(32, 32)] * 4 + [(48, 64)] * 8
    assert [seen['window'] for seen in whole] == [(8, 8)] * 4 + [(12, 16)] * 8
    resumed = train(images, tmp_path / 'resumed', resume=str(tmp_path / 'whole/epoch_2.pth'), **options)
    assert_equal_runs(resumed, whole[8:])


def test_resumed_in_the_middle_of_a_stage(images, tmp_path):
    stages = [dict(epochs=2, size=32), dict(epochs=1, size=(48, 64))]
    options = {'default_hooks.progressive.stages': stages}
    whole = train(images, tmp_path / 'whole', **options)
    assert [seen['size'] for seen in whole] == [(32, 32)] * 8 + [(48, 64)] * 4
    resumed = train(images, tmp_path / 'resumed', resume=str(tmp_path / 'whole/epoch_1.pth'), **options)
    assert_equal_runs(resumed, whole[4:])


def test_the_same_size_in_all_stages_changes_nothing(images, tmp_path):
    stages = [dict(epochs=1, size=32)] * 3
    staged = train(images, tmp_path / 'staged', **{'default_hooks.progressive.stages': stages})
    plain = train(images, tmp_path / 'plain', config=CONFIG.with_name('fastmim_swin-micro_bs64_demo-32.py'),
                  **{'model.backbone.table_window': 4})
    assert staged == plain


@pytest.mark.processes
def test_stages_in_iterations(images, tmp_path):
    options = {
        'default_hooks.progressive.stages': [dict(iters=3, size=32), dict(iters=3, size=64)],
        'train_cfg': dict(type='IterBasedTrainLoop', max_iters=6, _delete_=True),
        'train_dataloader.sampler': dict(type='mim_plugins.KeyedInfiniteSampler', _delete_=True),
        'train_dataloader.num_workers': 2, 'param_scheduler': [],
        'default_hooks.checkpoint.by_epoch': False, 'default_hooks.checkpoint.interval': 2}
    whole = train(images, tmp_path / 'whole', **options)
    assert [seen['size'] for seen in whole] == [(32, 32)] * 3 + [(64, 64)] * 3
    for stop in (2, 4):  # one in each stage
        resumed = train(images, tmp_path / f'{stop}', resume=str(tmp_path / f'whole/iter_{stop}.pth'), **options)
        assert_equal_runs(resumed, whole[stop:])


def test_another_batch_size_scales_the_learning_rate(images, tmp_path):
    options = {
        'default_hooks.progressive.stages': [
            dict(epochs=1, size=32), dict(epochs=1, size=32, batch_size=8), dict(epochs=1, size=48, batch_size=2)],
        'param_scheduler': [dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=3, T_max=3)]}
    whole = train(images, tmp_path / 'whole', **options)
    assert [seen['batch'] for seen in whole] == [4] * 4 + [8] * 2 + [2] * 8
    per_image = [seen['lr'] / seen['batch'] for seen in whole]
    cosine = [.5 * 1.5e-3 / 4 * (1 + value) for value in [1.] * 4 + [.5] * 2 + [-.5] * 8]
    assert per_image == pytest.approx(cosine)
    for epoch, iterations in ((1, 4), (2, 6)):
        resumed = train(images, tmp_path / f'{epoch}', resume=str(tmp_path / f'whole/epoch_{epoch}.pth'), **options)
        assert_equal_runs(resumed, whole[iterations:])


@pytest.mark.processes
def test_two_processes(images, tmp_path):
    command = [word for word in small_run(images, tmp_path, start=(TRAIN, CONFIG)) if 'max_epochs' not in str(word)
               and 'param_scheduler' not in str(word)]
    printed = run_tool_in_two(*command, 'train_dataloader.dataset.indices=16', cwd=tmp_path)
    assert 'epochs 2: images of 64x64 px' in printed and (tmp_path / 'epoch_3.pth').is_file()
    logged = [json.loads(line) for log in tmp_path.glob('*/vis_data/scalars.json')
              for line in log.read_text().splitlines()]
    assert len([line for line in logged if 'loss' in line]) == 6


@pytest.mark.parametrize('stages, sentence', [
    ([], "each stage must state either its 'epochs' or its 'iters'"),
    ([dict(epochs=1, size=32), dict(iters=1, size=32)], "each stage must state either its 'epochs' or its 'iters'"),
    ([dict(epochs=0, size=32)], 'a positive number of epochs'),
    ([dict(epochs=1)], 'a size in pixels'), ([dict(epochs=True, size=32)], 'a positive number of epochs'),
    ([dict(epochs=1, size=32, batch_size=0)], 'maybe a positive batch_size'),
    ([dict(epochs=1, size='ab')], "but is 'ab'"), ([dict(epochs=1, size=(32, -32))], r'but is \(32, -32\)'),
    ([dict(epochs=1, size=32, batchsize=4)], 'but one is .*batchsize'),
])
def test_stages_that_say_nothing_clear_are_refused(stages, sentence):
    with pytest.raises(InputError, match=sentence):
        ProgressiveResolutionHook(stages)


@pytest.mark.parametrize('options, sentence', [
    ({'default_hooks.progressive.stages': [dict(epochs=2, size=32)]}, 'the stages make 2 epochs, but .* of 3'),
    ({'default_hooks.progressive.stages': [dict(iters=3, size=32)]}, 'the stages make 3 iters, but'),
    ({'train_dataloader.sampler.type': 'DefaultSampler'},
     "type='mim_plugins.KeyedSampler'.*but the loader has a DefaultSampler"),
    ({'default_hooks.progressive.stages': [dict(iters=3, size=32)], 'param_scheduler': [],
      'train_cfg': dict(type='IterBasedTrainLoop', max_iters=3, _delete_=True)},
     "type='mim_plugins.KeyedInfiniteSampler'.*but the loader has a KeyedSampler"),
    ({'model.backbone': dict(
        type='mmpretrain.BEiTViT', patch_size=16, out_type='raw', _delete_=True, arch=dict(
            embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)),
      'model.neck.in_channels': 16, 'model.neck.num_extra_tokens': 1},
     'BEiTViT does not take images of 64x64 in its forward: '),
    ({'default_hooks.progressive.stages': [dict(epochs=1, size=32), dict(epochs=2, size=40)]}, '40x40'),
    ({'train_dataloader.dataset.pipeline.1.type': 'RandomResizedCrop'},
     'a sample of 64x64 px was asked for, but the pipeline gave 32x32'),
    ({'default_hooks.progressive.stages': [dict(epochs=1, size=32), dict(epochs=2, size=48, batch_size=8)]},
     'schedules that step once per epoch'),
])
def test_plans_that_cannot_work_are_refused_before_the_first_iteration(images, tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        train(images, tmp_path, **options)
