"""From a teacher to a student by way of a store, through the tools."""
import re
import shutil

import pytest
import torch

from mim_plugins.analysis.curves import read_scalars
from mim_plugins.registry import MODELS

from ..runs import DEMO, ROOT, TRAIN, run_tool, run_tool_in_two, small_run

EXTRACT = ROOT / 'tools' / 'extract_targets.py'
FASTMAE = DEMO.with_name('fastmae_vit-micro_bs64_demo-32.py')


def write_config(folder, images, store, more: str = ''):
    """The demo recipe with a teacher of random weights, mirrored crops and what follows each sample."""
    path = folder / 'config.py'
    path.write_text(f"""_base_ = ['{FASTMAE}']
teacher = dict(checkpoint=None, random_weights=True)
train_dataloader = dict(
    sampler=dict(type='mim_plugins.KeyedSampler', shuffle=True),
    dataset=dict(data_root='{images}', pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.GridAlignedCrop', scale=32, patch=8, middle_size=48, flip_prob=.5),
        dict(type='mim_plugins.LoadOfflineTarget', store='{store}', image_root='{images}'),
        dict(type='mim_plugins.PackInputs')]))
model = dict(backbone=dict(drop_path_rate=.3))
{more}
""")
    return path


@pytest.fixture(scope='module')
def stored(images, tmp_path_factory):
    """A config and the store it reads."""
    folder = tmp_path_factory.mktemp('offline')
    config = write_config(folder, images, folder / 'store')
    printed = run_tool(EXTRACT, config, '--dtype', 'int8', '--workers', 0, cwd=folder)
    assert '16 images x 36 cells x 128 channels x 2 views in int8' in printed
    return config, folder / 'store'


def losses(work_dir) -> dict[int, dict]:
    return {line['step']: line for line in read_scalars(work_dir)}


@pytest.mark.processes
def test_the_demo_from_a_run_as_teacher(images, tmp_path):
    """What docs/offline_targets.md says, shortened: the teacher is a FastMIM run of this package."""
    run_tool(*small_run(images, tmp_path / 'teacher'), cwd=tmp_path)
    options = ['--data-root', images, '--checkpoint', tmp_path / 'teacher/epoch_2.pth', '--store', tmp_path / 'store']
    assert 'is whole: 16 images' in run_tool(EXTRACT, FASTMAE, *options, '--workers', 2, cwd=tmp_path)
    assert 'the checksums of all 16 images agree' in run_tool(EXTRACT, FASTMAE, *options, '--verify', cwd=tmp_path)
    reads = f'train_dataloader.dataset.pipeline.2.store={tmp_path / "store"}'
    printed = run_tool(*small_run(images, tmp_path / 'student', reads, start=(TRAIN, FASTMAE)), cwd=tmp_path)
    assert re.search(r'stored features of SinCosVisionTransformer \(weights \w{12}\) from .*store: 16 images, float16',
                     printed)
    found = losses(tmp_path / 'student')
    assert sorted(found) == list(range(1, 9))
    for line in found.values():
        assert line['loss'] == pytest.approx(line['loss_decoder'] + line['loss_layers'], rel=1e-4)
    checkpoint = torch.load(tmp_path / 'student/epoch_2.pth', weights_only=False)
    encoder = MODELS.build(dict(
        type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)))
    encoder.load_state_dict({name.removeprefix('backbone.'): value for name, value in checkpoint['state_dict'].items()
                             if name.startswith('backbone.')})


@pytest.fixture(scope='module')
def trained(images, stored, tmp_path_factory):
    """The work dir of a finished run."""
    work_dir = tmp_path_factory.mktemp('trained')
    run_tool(*small_run(images, work_dir, start=(TRAIN, stored[0])), cwd=work_dir)
    return work_dir


@pytest.mark.processes
def test_resumed_equals_never_stopped(images, stored, trained, tmp_path):
    """And monitors that read the store leave the training as it was, as do loading workers."""
    monitored = write_config(tmp_path, images, stored[1], f"""
default_hooks = dict(
    held_out=dict(type='mim_plugins.HeldOutLossHook', images='{images}'),
    pictures=dict(type='mim_plugins.PicturesHook', images='{images}', interval=1, number=3))""")

    def run(*options: str) -> list:
        return small_run(images, tmp_path / 'stopped', 'train_dataloader.num_workers=1', *options,
                         start=(TRAIN, monitored))

    run_tool(*run('train_cfg.max_epochs=1'), cwd=tmp_path)
    run_tool(*run(), '--resume', cwd=tmp_path)
    straight, stopped = losses(trained), losses(tmp_path / 'stopped')
    assert sorted(straight) == list(range(1, 9)) and set(stopped) >= set(straight)
    for step, line in straight.items():
        for name in ('loss', 'loss_decoder', 'loss_layers', 'lr'):
            assert stopped[step][name] == pytest.approx(line[name], rel=1e-5), (step, name)
    assert (tmp_path / 'stopped/pictures/epoch_2.png').stat().st_size > 1000


def test_another_teachers_store_is_refused_at_a_resume(images, trained, tmp_path):
    other = write_config(tmp_path, images, tmp_path / 'store', 'teacher.update(layer=0)')
    run_tool(EXTRACT, other, cwd=tmp_path)
    printed = run_tool(*small_run(images, tmp_path / 'run', start=(TRAIN, other)), '--resume', trained / 'epoch_1.pth',
                       cwd=tmp_path, ok=False)
    assert ('error: the checkpoint was trained on other stored features: teacher.layer is 0 here and None in the '
            'checkpoint') in printed


def test_images_that_grow(images, stored, tmp_path):
    config = write_config(tmp_path, images, stored[1], """
default_hooks = dict(progressive=dict(
    type='mim_plugins.ProgressiveResolutionHook', stages=[dict(epochs=1, size=32), dict(epochs=1, size=(48, 40))]))""")
    printed = run_tool(*small_run(images, tmp_path / 'run', start=(TRAIN, config)), cwd=tmp_path)
    assert 'images of 48x40 px from here to 2' in printed and len(losses(tmp_path / 'run')) == 8


@pytest.mark.processes
def test_two_processes_train_one_model(images, stored, tmp_path):
    start = (TRAIN, stored[0])
    printed = run_tool_in_two(*small_run(images, tmp_path, 'train_dataloader.num_workers=1', start=start),
                              cwd=tmp_path)
    assert '2 processes x 4 images' in printed and len(losses(tmp_path)) == 4


@pytest.mark.parametrize('change, sentence', [
    (lambda folder: shutil.rmtree(folder), 'error: no store of features in'),
    (lambda folder: (folder / 'shard-00000.safetensors').write_bytes(b'x' * 100), 'is cut short or damaged'),
])
def test_a_store_that_is_not_whole_ends_with_a_sentence(images, stored, tmp_path, change, sentence):
    store = shutil.copytree(stored[1], tmp_path / 'store')
    change(store)
    config = write_config(tmp_path, images, store)
    printed = run_tool(*small_run(images, tmp_path / 'run', start=(TRAIN, config)), cwd=tmp_path, ok=False)
    assert sentence in printed
