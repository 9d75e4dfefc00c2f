"""A training that was stopped and resumed equals one that never stopped, random numbers included."""
from pathlib import Path

import pytest

from mim_plugins.analysis.curves import read_scalars

from ..runs import DEMO, TRAIN, run_tool, small_run

RANDOM_CROP = "dict(type='mim_plugins.RandomResizedCrop', scale=32)"
SIMPLE_CROP = "dict(type='mim_plugins.SimpleResizedCrop', scale={})"
# Recipe, crop, and what else of it is trained or drawn.
CASES = {
    'FastMIM': (DEMO, RANDOM_CROP, ''),
    'MAE with a trainable radius': (
        DEMO.with_name('pixmim_vit-micro_bs64_demo-32.py'), SIMPLE_CROP.format(32),
        'model.update(target_generator=dict(radius=(20, 60)))'),
    'MixMIM': (DEMO.with_name('mixmim_mixmim-micro_bs64_demo-32.py'), RANDOM_CROP,
               "model.update(data_preprocessor=dict(pairing='permutation', mask=dict(ratio_range=.3)))"),
    'MFF': (DEMO.with_name('pixmim-mff_vit-micro_bs64_demo-32.py'), SIMPLE_CROP.format(32), ''),
    'ConvMAE': (DEMO.with_name('pixmim-convmae_micro_bs64_demo-64.py'), SIMPLE_CROP.format(64), ''),
    'LSMAE': (DEMO.with_name('pixmim-lsmae_vit-micro_bs64_demo-64.py'), SIMPLE_CROP.format(64), ''),
}


def write_config(folder: Path, case: str) -> Path:
    """Write the recipe of a case with all that can be random: data order, crops, flips, masks, drop path."""
    base, crop, more = CASES[case]
    config = folder / 'flips.py'
    config.write_text(f"""_base_ = ['{base}']
model = dict(backbone=dict(drop_path_rate=0.5))
train_dataloader = dict(
    sampler=dict(type='mim_plugins.KeyedSampler', shuffle=True),
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), {crop}, dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]))
default_hooks = dict(iteration_seed=dict(type='mim_plugins.IterationSeedHook'))
{more}
""")
    return config


def logged(work_dir: Path) -> dict[int, dict]:
    """Step -> what was logged of it."""
    return {line['step']: line for line in read_scalars(work_dir)}


def assert_equal_lines(found: dict, expected: dict, names: set[str]) -> None:
    assert found['lr'] == expected['lr']
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.parametrize('case', CASES)
def test_resumed_equals_never_stopped(images, tmp_path, case):
    """Loss, lr, data order, crops, flips, masks, drop path, and whatever else the log follows."""
    start = (TRAIN, write_config(tmp_path, case))
    run_tool(*small_run(images, tmp_path / 'straight', start=start), cwd=tmp_path)
    printed = run_tool(*small_run(images, tmp_path / 'resumed', start=start),
                       '--resume', tmp_path / 'straight/epoch_1.pth', cwd=tmp_path)
    assert 'resumed epoch: 1, iter: 4' in printed
    straight, resumed = logged(tmp_path / 'straight'), logged(tmp_path / 'resumed')
    assert sorted(straight) == list(range(1, 9)) and sorted(resumed) == list(range(5, 9))
    followed = {'loss', 'radius', 'weight_0', 'weight_1'} & set(straight[1])
    assert len(followed) == {'MFF': 3, 'MAE with a trainable radius': 2}.get(case, 1)
    for step, line in resumed.items():
        assert_equal_lines(line, straight[step], followed)


@pytest.mark.processes
@pytest.mark.parametrize('case', ['FastMIM', 'MixMIM'])
def test_stopped_and_resumed_with_loading_workers_equals_never_stopped(images, tmp_path, case):
    """The stopped run loads with a worker and resumes in its own folder; the straight run has no worker."""
    start = (TRAIN, write_config(tmp_path, case))
    workers = 'train_dataloader.num_workers=1'
    run_tool(*small_run(images, tmp_path / 'straight', start=start), cwd=tmp_path)
    run_tool(*small_run(images, tmp_path / 'stopped', workers, 'train_cfg.max_epochs=1', start=start), cwd=tmp_path)
    printed = run_tool(*small_run(images, tmp_path / 'stopped', workers, start=start), '--resume', cwd=tmp_path,
                       FORCE_COLOR='1')
    assert 'resumed epoch: 1, iter: 4' in printed and '8/8' in printed  # the bar of what counts as a terminal
    straight, stopped = logged(tmp_path / 'straight'), logged(tmp_path / 'stopped')
    assert sorted(straight) == sorted(stopped) == list(range(1, 9))
    for step, line in straight.items():
        assert_equal_lines(stopped[step], line, {'loss'})
