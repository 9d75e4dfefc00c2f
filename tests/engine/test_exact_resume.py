"""A training that was stopped and resumed equals one that never stopped, random numbers included."""
import pytest

from mim_plugins.analysis.curves import read_scalars

from .conftest import DEMO, TRAIN, run_tool, small_run

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


@pytest.mark.parametrize('case', CASES)
def test_stopped_and_resumed_equals_never_stopped(images, tmp_path, case):
    """Loss, lr, data order, crops, flips, masks, drop path, and whatever else the log follows."""
    base, crop, more = CASES[case]
    config = tmp_path / 'flips.py'
    config.write_text(f"""_base_ = ['{base}']
model = dict(backbone=dict(drop_path_rate=0.5))
train_dataloader = dict(
    sampler=dict(type='mim_plugins.KeyedSampler', shuffle=True),
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), {crop}, dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]))
default_hooks = dict(iteration_seed=dict(type='mim_plugins.IterationSeedHook'))
{more}
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
    followed = {'loss', 'radius', 'weight_0', 'weight_1'} & set(straight[1])
    assert len(followed) == {'MFF': 3, 'MAE with a trainable radius': 2}.get(case, 1)
    for step, line in straight.items():
        assert stopped[step]['lr'] == line['lr']
        for name in followed:
            assert stopped[step][name] == pytest.approx(line[name], rel=1e-5)
