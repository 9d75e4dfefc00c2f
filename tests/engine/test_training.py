"""Whole trainings through the tools, each in a process of its own."""
import json
import re
from pathlib import Path

import pytest
import torch

from .conftest import DEMO, ROOT, run_tool, small_run


def losses(work_dir: Path) -> dict[int, float]:
    """Step -> loss, over all runs in a work dir."""
    lines = [json.loads(line) for log in sorted(work_dir.glob('*/vis_data/scalars.json'))
             for line in log.read_text().splitlines()]
    return {line['step']: line['loss'] for line in lines if 'loss' in line}


@pytest.fixture(scope='module')
def trained(images, tmp_path_factory) -> tuple[Path, str]:
    """A finished run of two epochs and what it printed."""
    work_dir = tmp_path_factory.mktemp('trained')
    return work_dir, run_tool(*small_run(images, work_dir), cwd=work_dir)


def test_run_summary(trained):
    printed = trained[1]
    for line in ('1 processes x 4 images x 1 accumulated = 4 (recipe: 128)', 'images         16, 2 epochs of 4 iter',
                 'input size     32 x 32 px', 'unit 8 px'):
        assert line in printed
    assert re.search('WARNING - the effective batch is 4, but the learning rate of .* was made for 128', printed)


def test_training_writes_losses_and_checkpoints(trained):
    work_dir, _ = trained
    assert sorted(losses(work_dir)) == list(range(1, 9))
    assert (work_dir / 'epoch_2.pth').is_file()
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_same_seed_gives_the_same_losses_and_an_interrupted_run_goes_on(images, trained, tmp_path):
    straight = losses(trained[0])
    run_tool(*small_run(images, tmp_path, 'train_cfg.max_epochs=1'), cwd=tmp_path)
    first = losses(tmp_path)
    assert first == pytest.approx({step: straight[step] for step in range(1, 5)})
    printed = run_tool(*small_run(images, tmp_path), '--resume', cwd=tmp_path)
    assert 'resumed epoch: 1, iter: 4' in printed
    assert sorted(losses(tmp_path)) == list(range(1, 9))
    ours, theirs = (torch.load(folder / 'epoch_2.pth', weights_only=False) for folder in (tmp_path, trained[0]))
    assert ours['param_schedulers'] == theirs['param_schedulers'] and ours['meta']['iter'] == 8


def test_resuming_with_another_model_is_refused(images, trained):
    work_dir, _ = trained
    printed = run_tool(
        *small_run(images, work_dir, 'model.neck.embed_dims=64'), '--resume', cwd=work_dir, ok=False)
    assert re.search('error: the checkpoint .* does not match the model: of [0-9]+ tensors, [0-9]+ of another shape',
                     printed)
    assert 'Traceback' not in printed


def test_two_processes_share_gradients_but_no_masks(images, tmp_path):
    printed = run_tool(
        *small_run(images, tmp_path), '--launcher', 'pytorch', cwd=tmp_path,
        launcher=('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2'))
    assert '2 processes x 4 images x 1 accumulated = 8' in printed
    assert sorted(losses(tmp_path)) == list(range(1, 5))
    weights = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['state_dict']
    assert not any(name.startswith('module.') for name in weights)


@pytest.mark.parametrize('option, sentence', [
    ('model.data_preprocessor.mask.uint=8', "error: unknown option: RandomMasks.__init__() got an unexpected"),
    ('model.input_size=36', 'error: images of 36x36 cannot be divided into mask units of 8 px'),
    ('model.backbone.type=mim_plugins.Nothing', 'error: unknown type: mim_plugins.Nothing is not in the'),
])
def test_bad_options_end_with_a_sentence(images, tmp_path, option, sentence):
    printed = run_tool(*small_run(images, tmp_path, option), cwd=tmp_path, ok=False)
    assert sentence in printed and 'Traceback' not in printed


def test_wrong_data_root_fails_before_any_model_code_is_imported(tmp_path):
    script = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as end:
    print(end, '| mmpretrain imported:', 'mmpretrain' in sys.modules)
"""
    printed = run_tool('-c', script, ROOT / 'tools' / 'train.py', DEMO, '--data-root', 'no', cwd=tmp_path)
    assert f'error: no data at {tmp_path}/no ' in printed and 'mmpretrain imported: False' in printed


def test_empty_folder_ends_with_a_sentence(tmp_path):
    (tmp_path / 'empty').mkdir()
    printed = run_tool(*small_run(tmp_path / 'empty', tmp_path / 'work'), cwd=tmp_path, ok=False)
    assert re.search(r'error: .*empty', printed) and 'Traceback' not in printed
