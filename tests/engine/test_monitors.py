"""Monitors during training, and the tools that look at what came out."""
import itertools
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mim_plugins.analysis.curves import read_scalars
from mim_plugins.analysis.evaluation import labelled_loader
from mim_plugins.engine import launch
from mim_plugins.engine.hooks import FeatureMonitorHook, HeldOutLossHook, PicturesHook
from mim_plugins.errors import InputError

from ..runs import DEMO, ROOT, run_tool, write_images

NUMBER = itertools.count()
TOOLS = ROOT / 'tools' / 'analysis'


@pytest.fixture(scope='module')
def labelled(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('labelled')
    for split, label in itertools.product(('train', 'val'), 'ab'):
        write_images(folder / split / label, 4)
    return folder


def train(images: Path, work_dir: Path, config: Path = DEMO, **hooks: dict) -> None:
    options = {
        'train_dataloader.batch_size': 8, 'train_cfg.max_epochs': 2, 'default_hooks.logger.interval': 1,
        'param_scheduler': [], **{f'default_hooks.{name}': hook for name, hook in hooks.items()}}
    if config != DEMO:
        options['train_dataloader.dataset.indices'] = None
    cfg = launch.prepare_training(Namespace(
        config=str(config), cfg_options=options, data_root=str(images), work_dir=str(work_dir), resume=None,
        encoder=None, amp=None, auto_scale_lr=False, launcher='none'))
    cfg.experiment_name = f'monitored_{next(NUMBER)}'
    Runner.from_cfg(cfg).train()


@pytest.fixture(scope='module')
def monitored(images, labelled, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('monitored')
    train(images, work_dir,
          features=dict(type='mim_plugins.FeatureMonitorHook', labelled=str(labelled), interval=1),
          held_out=dict(type='mim_plugins.HeldOutLossHook', images=str(labelled / 'val'), interval=2),
          pictures=dict(type='mim_plugins.PicturesHook', images=[str(images)], interval=9, number=2))
    return work_dir


def lines_of(work_dir: Path) -> list[dict]:
    return [json.loads(line) for log in work_dir.glob('*/vis_data/scalars.json')
            for line in log.read_text().splitlines()]


def test_what_is_written(monitored):
    lines = lines_of(monitored)
    features = [line for line in lines if 'monitor/knn_top1' in line]
    assert [line['step'] for line in features] == [2, 4]
    assert all(0 <= line[name] <= 100 for line in features for name in ('monitor/knn_top1', 'monitor/probe_top1'))
    held_out, = (line for line in lines if 'monitor/held_out_loss' in line)
    assert held_out['step'] == 4 and held_out['monitor/held_out_loss'] > 0
    assert [path.name for path in (monitored / 'pictures').iterdir()] == ['epoch_2.png']  # the last epoch's


def test_the_training_is_as_without_them(images, monitored, tmp_path):
    train(images, tmp_path)
    assert [line['loss'] for line in read_scalars(tmp_path)] == [line['loss'] for line in read_scalars(monitored)]


@pytest.mark.parametrize('make, message', [
    (lambda folder: FeatureMonitorHook(str(folder), interval=0), 'at least 1 epoch, but got 0'),
    (lambda folder: FeatureMonitorHook(str(folder / 'train')), 'finds no .*train/train with one folder per class'),
    (lambda folder: HeldOutLossHook(str(folder), number=0), '16 were found and 0 asked for'),
    (lambda folder: PicturesHook([str(folder / 'nowhere')]), 'no image or folder at'),
])
def test_refuse_what_cannot_be_looked_at(labelled, make, message):
    with pytest.raises(InputError, match=message):
        make(labelled)


@pytest.mark.parametrize('world', [1, 2])
def test_labelled_images_are_all_seen_without_other_processes_or_random_numbers(labelled, world, monkeypatch):
    """The first process looks alone: nothing may be shared out, waited for, or drawn from the training's numbers."""
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, world))
    monkeypatch.setattr('mmengine.dataset.sampler.sync_random_seed', lambda: pytest.fail('waits for other processes'))
    state = np.random.get_state()[1].copy()
    loader = labelled_loader(labelled / 'val', (16, 24))
    assert sum(len(batch['inputs']) for batch in loader) == 8
    assert np.array_equal(np.random.get_state()[1], state)


def test_refuse_models_of_others(labelled, small_model):
    hook = FeatureMonitorHook(str(labelled))
    hook.before_run(Namespace(model=small_model))
    with pytest.raises(InputError, match='needs a masked image model of this package.* but got Linear'):
        hook.before_run(Namespace(model=torch.nn.Linear(1, 1)))


def test_reconstructions_as_a_tool(images, labelled, monitored, tmp_path):
    tool = TOOLS / 'reconstruct.py'
    printed = run_tool(tool, monitored, images, '--out', 'a', '--number', 3, cwd=tmp_path)
    assert 'for 3 images of 32x32' in printed
    scores = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    assert len(scores) == 3 and all(score['loss'] > 0 for score in scores)
    assert (tmp_path / 'a' / 'reconstructions.png').stat().st_size > 10_000
    printed = run_tool(tool, monitored, images, '--out', 'b', '--object-masks', tmp_path, cwd=tmp_path, ok=False)
    assert 'error: fixed masks cannot be read from' in printed


def test_target_resolution_as_a_tool(images, tmp_path):
    printed = run_tool(TOOLS / 'target_resolution.py', images, '--out', 'a', '--base', 64, '--sizes', 32,
                       cwd=tmp_path)
    assert printed.count('PSNR') == 2 and (tmp_path / 'a' / 'target_resolution.png').is_file()
    assert (tmp_path / 'a' / 'target_resolution.csv').read_text().startswith('target,size,psnr,ssim')


def test_loss_by_size_as_a_tool(images, monitored, tmp_path):
    printed = run_tool(TOOLS / 'loss_by_size.py', monitored, '--images', images, '--sizes', 32, 36, 64, '--out', 'a',
                       cwd=tmp_path)
    assert '36x36 px: images of 36x36 cannot be divided into' in printed
    rows = (tmp_path / 'a' / 'loss_by_size.csv').read_text().splitlines()
    assert len(rows) == 3 and (tmp_path / 'a' / 'loss_by_size.png').is_file()


def test_mask_distance_as_a_tool(tmp_path):
    run_tool(TOOLS / 'mask_distance.py', '--out', 'a', '--size', 64, '--units', 16, '--ratios', .5, '--samples', 2,
             '--block-unit', 8, cwd=tmp_path)
    assert (tmp_path / 'a' / 'avg_dist.csv').read_text().startswith('ratio,random 16')


def test_frequency_bands_as_a_tool(images, monitored, tmp_path):
    train(images, tmp_path / 'run', DEMO.with_name('pixmim_vit-micro_bs64_demo-32.py'))
    printed = run_tool(TOOLS / 'band_psnr.py', 'run', '--images', images, '--bands', 3, '--number', 4, '--out', 'a',
                       cwd=tmp_path)
    rows = (tmp_path / 'a' / 'band_psnr.csv').read_text().splitlines()
    assert len(rows) == 4 and printed.count(' dB') == 3 and (tmp_path / 'a' / 'band_psnr.png').is_file()
    printed = run_tool(TOOLS / 'band_psnr.py', monitored, '--images', images, '--out', 'b', cwd=tmp_path, ok=False)
    assert 'error: PSNR needs a target with colours, which HOGTarget has not' in printed


def test_low_passed_pictures_as_a_tool(images, tmp_path):
    run_tool(TOOLS / 'low_pass.py', images, '--size', 32, 48, '--radii', 3, 5, '--out', 'a', cwd=tmp_path)
    assert (tmp_path / 'a' / 'low_pass.png').is_file()
    printed = run_tool(TOOLS / 'low_pass.py', images, '--size', 32, '--radii', 40, '--out', 'b', cwd=tmp_path, ok=False)
    assert 'error: the radius of a low-pass filter must lie between 0 and 22.6' in printed
