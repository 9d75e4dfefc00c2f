"""Whole trainings through the tools."""
import json
import re
import shutil
import sys
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mim_plugins.analysis.curves import read_scalars
from mim_plugins.engine import launch

from ..runs import DEMO, MIM, ROOT, TRAIN, needs_mim, run_process, run_tool, small_run, write_images


def scalars(work_dir: Path) -> dict[int, dict]:
    """Step -> what was logged of it."""
    return {line['step']: line for line in read_scalars(work_dir)}


@pytest.fixture(scope='module')
def trained(images, tmp_path_factory) -> tuple[Path, str]:
    """A finished run of two epochs and what it printed."""
    work_dir = tmp_path_factory.mktemp('trained')
    return work_dir, run_tool(*small_run(images, work_dir), cwd=work_dir)


def test_run_summary(trained):
    printed = trained[1]
    for line in ('1 processes x 4 images x 1 accumulated = 4 (recipe: 64)', 'images         16, 2 epochs of 4 iter',
                 'input size     32 x 32 px', 'unit 8 px'):
        assert line in printed
    assert re.search('WARNING - the effective batch is 4, but the learning rate of .* was made for 64', printed)


@pytest.mark.parametrize('options, ending', [
    (('train_dataloader.batch_size=5', ), 'each epoch of 16 images in batches of 5 ends with one'),
    (('train_dataloader.batch_size=5', 'train_dataloader.drop_last=True'), None),
    (('train_dataloader.batch_size=1', 'train_dataloader.drop_last=True'), 'batches of 1 ends with one: take more im'),
    (('train_dataloader.batch_size=32', 'train_dataloader.drop_last=True'), 'an epoch has no batch: with drop_last'),
])
def test_a_last_image_that_cannot_be_mixed_is_told_at_the_start(images, tmp_path, options, ending):
    start = (TRAIN, DEMO.with_name('mixmim_mixmim-micro_bs64_demo-32.py'))
    printed = run_tool(*small_run(images, tmp_path, *options, start=start), cwd=tmp_path, ok=ending is None)
    summary = 'reconstructed  both images, difficulty masked_attention'
    assert (ending or summary) in printed
    assert ending is None or 'Epoch(train)' not in printed


def test_training_writes_losses_and_checkpoints(trained):
    work_dir, _ = trained
    assert sorted(scalars(work_dir)) == list(range(1, 9))
    assert (work_dir / 'epoch_2.pth').is_file()
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_resuming_where_there_is_nothing_says_so(images, tmp_path):
    printed = run_tool(*small_run(images, tmp_path, 'train_cfg.max_epochs=1'), '--resume', cwd=tmp_path)
    assert f'nothing to resume in {tmp_path}: starting from epoch 0' in printed


@pytest.mark.parametrize('options, sentence', [
    (('--resume', ), 'error: the checkpoint .* does not match the model: of [0-9]+ tensors, [0-9]+ of another shape'),
    (('load_from={}/epoch_2.pth', ), 'error: [0-9]+ of [0-9]+ tensors of the model are found in .*epoch_2.pth .*at le'),
])
def test_weights_of_another_model_are_refused(images, trained, tmp_path, options, sentence):
    work_dir = shutil.copytree(trained[0], tmp_path / 'run')
    arch = ('model.backbone.arch.embed_dims=64', 'model.neck.in_channels=64', 'model.neck.embed_dims=64')
    printed = run_tool(*small_run(images, work_dir, *arch, *(option.format(work_dir) for option in options)),
                       cwd=tmp_path, ok=False)
    assert re.search(sentence, printed)


@pytest.mark.slow
@pytest.mark.processes
def test_two_processes_train_one_model(images, tmp_path):
    """Through torchrun; other trainings of two processes are forked."""
    start = (ROOT / 'tools' / 'dist_train.sh', DEMO, 2)
    printed = run_process(*small_run(images, tmp_path, start=start), cwd=tmp_path, program='bash',
                          PYTHON=sys.executable)
    assert '2 processes x 4 images x 1 accumulated = 8' in printed
    assert sorted(scalars(tmp_path)) == list(range(1, 5))
    weights = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['state_dict']
    assert not any(name.startswith('module.') for name in weights)


@pytest.mark.slow
@pytest.mark.processes
@needs_mim
def test_mim_train_works_from_any_folder(images, trained, tmp_path):
    """And gives the same losses: nothing depends on the process."""
    printed = run_process(*small_run(images, tmp_path, start=('train', 'mim_plugins', DEMO)), '--gpus', 0,
                          cwd=tmp_path, program=str(MIM), PYTHONPATH='')
    assert 'Training finished successfully' in printed and (tmp_path / 'epoch_2.pth').is_file()
    expected = {step: line['loss'] for step, line in scalars(trained[0]).items()}
    assert {step: line['loss'] for step, line in scalars(tmp_path).items()} == pytest.approx(expected, rel=1e-5)


# Progressive sizes and stored features have tests of their own.
OTHER_DEMOS = sorted(path for path in DEMO.parent.glob('*.py')
                     if path != DEMO and not path.name.startswith(('fastmim-p', 'fastmae')))


@pytest.mark.parametrize('config', OTHER_DEMOS, ids=lambda path: path.stem)
def test_each_demo_recipe_trains(images, tmp_path, config):
    """FastMIM-P has its own tests."""
    cfg = launch.prepare_training(Namespace(
        config=str(config), data_root=str(images), work_dir=str(tmp_path), resume=None, encoder=None, amp=None,
        auto_scale_lr=False, launcher='none', cfg_options={
            'train_dataloader.batch_size': 4, 'train_dataloader.num_workers': 0,
            'train_dataloader.dataset.indices': None, 'default_hooks.logger.interval': 1}))
    cfg.experiment_name = config.stem
    Runner.from_cfg(cfg).train()
    course = scalars(tmp_path)
    assert sorted(course) == list(range(1, 13)) and all(np.isfinite(line['loss']) for line in course.values())
    assert course[12]['loss'] != course[1]['loss'] and (tmp_path / 'epoch_3.pth').is_file()


def test_evaluation_of_a_finished_run(trained, tmp_path):
    work_dir, _ = trained
    for split in ('train', 'val'):
        for label in '01':
            write_images(tmp_path / split / label, 6)
    tool = ROOT / 'tools' / 'evaluate_run.py'
    run_tool(tool, work_dir, tmp_path, '--seconds-train', 5, '--started', time.time() - 100, cwd=tmp_path)
    summary = json.loads((work_dir / 'summary.json').read_text())
    assert (summary['images'], summary['epochs'], summary['seconds_train']) == (16, 2, 5)
    assert 100 <= summary['seconds_total'] < 1000
    assert summary['loss_first'] == pytest.approx(scalars(work_dir)[1]['loss'], abs=1e-4)
    assert summary['loss_last'] == pytest.approx(scalars(work_dir)[8]['loss'], abs=1e-4)
    for name in ('probe_top1_pretrained', 'probe_top1_random', 'knn_top1_pretrained', 'knn_top1_random'):
        assert 0 <= summary[name] <= 100
    assert all((work_dir / f'{name}.png').stat().st_size > 10_000 for name in ('reconstructions', 'curves'))
    printed = run_tool(tool, tmp_path, tmp_path, cwd=tmp_path, ok=False)
    assert 'error: no run with a checkpoint in' in printed


@pytest.mark.processes
def test_unreadable_files_are_named_and_too_many_stop_the_run(tmp_path):
    folder = write_images(tmp_path / 'images', 15)
    (folder / 'broken.png').write_bytes((folder / '00.png').read_bytes()[:200])
    workers = 'train_dataloader.num_workers=1'
    printed = run_tool(*small_run(folder, tmp_path / 'a', workers), cwd=tmp_path, ok=False)
    assert re.search(r'error: 1 of 16 files could not be read, more than max_unreadable = 0.01 .*broken.png', printed)
    printed = run_tool(*small_run(folder, tmp_path / 'b', workers, 'train_dataloader.dataset.max_unreadable=0.1'),
                       cwd=tmp_path)
    assert printed.count('WARNING - 1 of 16 files could not be read so far and were left out') == 1
    assert printed.count('skipped: could not read the image') == 1 and (tmp_path / 'b' / 'epoch_2.pth').is_file()


@pytest.mark.parametrize('option, sentence', [
    ('model.data_preprocessor.mask.uint=8', "error: unknown option: RandomMasks.__init__() got an unexpected"),
    ('model.input_size=36', 'error: images of 36x36 cannot be divided into mask units of 8 px'),
    ('model.backbone.type=mim_plugins.Nothing', 'error: unknown type: mim_plugins.Nothing is not in the'),
])
def test_bad_options_end_with_a_sentence(images, tmp_path, option, sentence):
    printed = run_tool(*small_run(images, tmp_path, option), cwd=tmp_path, ok=False)
    assert sentence in printed


@pytest.mark.processes
def test_wrong_data_root_fails_before_any_model_code_is_imported(tmp_path):
    script = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as end:
    print(end, '| mmpretrain imported:', 'mmpretrain' in sys.modules)
"""
    printed = run_process('-c', script, TRAIN, DEMO, '--data-root', 'no', cwd=tmp_path)
    assert f'error: no data at {tmp_path}/no ' in printed and 'mmpretrain imported: False' in printed


def test_empty_folder_ends_with_a_sentence(tmp_path):
    (tmp_path / 'empty').mkdir()
    printed = run_tool(*small_run(tmp_path / 'empty', tmp_path / 'work'), cwd=tmp_path, ok=False)
    assert re.search(r'error: .*empty', printed)
