"""The quick start's encoder goes into a detector and a segmenter, which train and are evaluated."""
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mim_plugins.analysis.demo_transfer import compare, shorten, table
from mim_plugins.datasets.demo import DemoOptions, make_demo_data
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

from ..runs import DEMO, ROOT, run_tool

RECIPES = ROOT / 'configs/demo/transfer'
TOOL = ROOT / 'tools/demo_transfer.py'
TASKS = {'detection': 'mask-rcnn', 'segmentation': 'upernet'}
EACH_TASK = [pytest.param('detection', marks=pytest.mark.downstream), 'segmentation']  # one config needs mmdet


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a handful of demo pictures and a checkpoint of the quick start's encoder."""
    folder = tmp_path_factory.mktemp('transfer')
    make_demo_data(folder / 'data/demo', DemoOptions(
        images=1, train=10, val=10, dense_train=12, dense_val=4, sets=('detection', 'segmentation')))
    cfg = Config.fromfile(DEMO)
    torch.manual_seed(1)
    weights = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=weights, meta={}), folder / 'encoder.pth')
    return folder


def recipe(task: str) -> Config:
    return Config.fromfile(RECIPES / f'fastmim_vit-micro_{TASKS[task]}_demo.py')


@pytest.mark.parametrize('task', EACH_TASK)
def test_the_encoder_is_the_quick_starts(task):
    ours, theirs = recipe(task), Config.fromfile(DEMO)
    backbone = MODELS.build(dict(ours.model.backbone, _scope_='mmpretrain'))
    before = {name: tuple(value.shape) for name, value in MODELS.build(theirs.model).backbone.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    assert found.items() <= before.items()
    assert before.keys() - found.keys() == {'ln1.weight', 'ln1.bias'}  # the last norm, which no level reads
    assert Path(ours.default_hooks.encoder.checkpoint).name == f'epoch_{theirs.train_cfg.max_epochs}.pth'


@pytest.mark.parametrize('task', EACH_TASK)
def test_recipe_has_a_card(task):
    name = f'fastmim_vit-micro_{TASKS[task]}_demo.py'
    card, body = (RECIPES / name).read_text().removeprefix('"""').split('"""\n', 1)
    cfg = recipe(task)
    assert f'Command: python tools/train.py configs/demo/transfer/{name}\n' in card and 'Result:' in card
    batch, lr = re.search(r'Batch: +1 process x (\d+); lr (\S+)\n', card).groups()
    assert (int(batch), float(lr)) == (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr)
    assert len(body.splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.downstream
def test_both_tasks_run_from_either_start(folder):
    printed = run_tool(TOOL, '--checkpoint', 'encoder.pth', '--iters', 2, '--work-dir', 'runs', cwd=folder)
    rows = [line for line in printed.partition('|---:|\n')[2].splitlines() if line.startswith('| ')]
    assert [row.split(' | ')[:3] for row in rows] == [
        ['| detection', '2', 'box AP'], ['| detection', '2', 'mask AP'], ['| segmentation', '2', 'mIoU']]
    assert printed.count('52 of 52 encoder tensors loaded from encoder.pth') == 2
    assert printed.count('the encoder starts from random weights') == 2
    summary = json.loads((folder / 'runs/summary.json').read_text())
    assert (summary['checkpoint'], summary['seeds']) == ('encoder.pth', 1)
    assert {task: set(result['metrics']) for task, result in summary['tasks'].items()} == {
        'detection': {'box AP', 'mask AP'}, 'segmentation': {'mIoU'}}
    for result in summary['tasks'].values():
        for runs in result['metrics'].values():
            assert all(0 <= value <= 100 for start in ('random', 'pre-trained') for value in runs[start])
    for task in TASKS:
        encoders = {}
        for start in ('random', 'pre-trained'):
            run = folder / 'runs' / task / f'{start}-0'
            stored = torch.load(run / 'iter_2.pth', map_location='cpu', weights_only=False)
            encoders[start] = stored['state_dict']['backbone.layers.0.attn.qkv.weight']
        given = torch.load(folder / 'encoder.pth')['state_dict']['backbone.layers.0.attn.qkv.weight']
        assert (encoders['pre-trained'] - given).abs().max() < 1e-2 < (encoders['random'] - given).abs().max()


@pytest.mark.parametrize('options, message', [
    (('--checkpoint', 'none.pth'), 'no checkpoint at none.pth'),
    (('--iters', 0), 'at least 1 iteration, but is given 0'),
    (('--seeds', 0), 'at least 1 seed, but is given 0'),
])
def test_bad_input_is_told_in_a_sentence(folder, options, message):
    start = () if '--checkpoint' in options else ('--checkpoint', 'encoder.pth')
    printed = run_tool(TOOL, *start, *options, '--tasks', 'segmentation', cwd=folder, ok=False)
    assert message in printed


@pytest.mark.downstream
def test_data_that_is_not_there_is_named(tmp_path, folder):
    printed = run_tool(TOOL, '--checkpoint', folder / 'encoder.pth', cwd=tmp_path, ok=False)
    assert f'no data at {tmp_path}/data/demo/detection' in printed


def test_the_schedule_shrinks_with_the_training():
    cfg = recipe('segmentation')
    full = cfg.train_cfg.max_iters
    shorten(cfg, full // 10)
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == cfg.param_scheduler[-1].end == full // 10
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == full // 100
    with pytest.raises(InputError, match='at least 1 iteration, but is given 0'):
        shorten(cfg, 0)


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(InputError, match='at least 1 seed, but is given 0'):
        compare({}, 'encoder.pth', 0, tmp_path)


def test_the_table_has_means_deviations_and_gains():
    found = dict(
        detection=dict(iterations=5, metrics={'box AP': dict(random=[1., 2., 3.], **{'pre-trained': [4., 4., 4.]})}),
        segmentation=dict(iterations=7, metrics={'mIoU': dict(random=[10.], **{'pre-trained': [8.25]})}))
    assert table(found).splitlines()[2:] == [
        '| detection | 5 | box AP | 2.0 ± 1.0 | 4.0 ± 0.0 | +2.0 |', '| segmentation | 7 | mIoU | 10.0 | 8.2 | -1.8 |']
