"""A training that was stopped and resumed equals one that never stopped, random numbers included."""
import pytest

from mim_plugins.analysis.curves import read_scalars

from .conftest import DEMO, TRAIN, run_tool, small_run


def test_stopped_and_resumed_equals_never_stopped(images, tmp_path):
    """Loss, lr, data order, crops, flips, masks and drop path."""
    config = tmp_path / 'flips.py'
    config.write_text(f"""_base_ = ['{DEMO}']
model = dict(backbone=dict(drop_path_rate=0.5))
train_dataloader = dict(
    sampler=dict(type='mim_plugins.KeyedSampler', shuffle=True),
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), dict(type='mim_plugins.RandomResizedCrop', scale=32),
        dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]))
default_hooks = dict(iteration_seed=dict(type='mim_plugins.IterationSeedHook'))
""")

    def run(name: str, *options: str) -> list:
        return small_run(images, tmp_path / name, 'train_dataloader.num_workers=1', *options, start=(TRAIN, config))

    run_tool(*run('straight'), cwd=tmp_path)
    run_tool(*run('stopped', 'train_cfg.max_epochs=1'), cwd=tmp_path)
    printed = run_tool(*run('stopped'), '--resume', cwd=tmp_path, FORCE_COLOR='1')
    assert 'resumed epoch: 1, iter: 4' in printed and '8/8' in printed  # the bar of what counts as a terminal
    straight, stopped = ({line['step']: line for line in read_scalars(tmp_path / name)}
                         for name in ('straight', 'stopped'))
    assert sorted(straight) == sorted(stopped) == list(range(1, 9))
    for step, line in straight.items():
        assert stopped[step]['loss'] == pytest.approx(line['loss'], rel=1e-5)
        assert stopped[step]['lr'] == line['lr']
