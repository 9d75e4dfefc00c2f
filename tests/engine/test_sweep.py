import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import IO

import pytest

from mim_plugins.engine.sweep_runs import SweepRuns
from mim_plugins.engine.sweeps import Axis, best_point, read_metric, sweep, table
from mim_plugins.errors import InputError

from ..runs import ROOT, run_tool, write_images

LR, DECAY = Axis('lr', ('0.0005', '0.001', '0.002')), Axis('decay', ('0.65', '0.75', '0.85'))


def test_values_are_numbers_or_texts():
    assert Axis.parse('a.lr=5e-4,.001,2e-3') == Axis('a.lr', ('0.0005', '0.001', '0.002'))
    assert Axis.parse('a.type=AdamW,SGD').values == ('AdamW', 'SGD')
    assert Axis.parse('a.layer=8').values == ('8', )


@pytest.mark.parametrize('text, sentence', [
    ('lr', 'wants KEY=VALUE,VALUE,..., but got'), ('lr=1,,2', 'wants KEY=VALUE'), ('=1', 'wants KEY=VALUE'),
    ('lr=1e-3,.001', 'states a value twice'),
])
def test_refuses_what_is_no_axis(text, sentence):
    with pytest.raises(InputError, match=sentence):
        Axis.parse(text)


@pytest.mark.parametrize('values, best, following', [
    ('5e-4,1e-3,2e-3', '0.002', '0.004'),  # by the ratio
    ('5e-4,1e-3,2e-3', '0.0005', '0.00025'),
    ('5e-4,1e-3,2e-3', '0.001', None),
    ('2e-3,5e-4,1e-3', '0.002', '0.004'),  # whatever the order
    ('1,3,10', '10', '33.33333333'),
    ('.65,.75,.85', '0.85', '0.95'),  # by the step
    ('.65,.75,.85', '0.65', '0.55'),
    ('.8,.9', '0.9', '1'),
    ('.85,.95', '0.95', None),  # a share
    ('1e-3,2e-3', '0.002', '0.004'),
    ('6,8,10', '10', '12'),
    ('6,8,10', '6', '4'),
    ('.1,.2,.3', '0.1', None),  # would be 0
    ('0,.05', '0', None),
    ('0,.05', '0.05', '0.1'),
    ('-1,0,1', '-1', '-2'),
    ('1e-3', '0.001', None),
    ('AdamW,SGD', 'SGD', None),
])
def test_an_axis_grows_beyond_its_border(values, best, following):
    axis = Axis.parse(f'key={values}')
    grown = axis.widened(best)
    assert grown == (following and Axis('key', (*axis.values, following)))


def test_a_sweep_follows_the_best_up_to_its_limit():
    asked = []

    def run(settings: dict[str, str]) -> float:
        asked.append(settings)
        return -abs(float(settings['lr']) - 1) - abs(float(settings['decay']) - .75)

    results = sweep([LR, DECAY], run, widen=2)
    assert {point[0] for point in results} == {*LR.values, '0.004', '0.008'}
    assert {point[1] for point in results} == {*DECAY.values}
    assert len(asked) == len(results) == 15 and best_point(results) == ('0.008', '0.75')
    assert len(sweep([LR, DECAY], run)) == 9


def test_a_sweep_of_losses_goes_down_and_stops_inside():
    results = sweep([LR], lambda settings: abs(float(settings['lr']) - 2.5e-4), widen=5, lower=True)
    assert [point[0] for point in results] == [*LR.values, '0.00025', '0.000125']
    assert best_point(results, lower=True) == ('0.00025', )


def test_points_that_failed_do_not_count():
    results = sweep([LR], lambda settings: None if settings['lr'] == '0.002' else float(settings['lr']), widen=3)
    assert results == {('0.0005', ): .0005, ('0.001', ): .001, ('0.002', ): None}
    assert best_point(results) == ('0.001', )
    assert sweep([LR], lambda settings: None, widen=3) == dict.fromkeys(results)
    assert table(['lr'], results, 'top1').splitlines() == [
        'lr      top1', '0.0005  0.0005', '0.001   0.001   best', '0.002   failed']


def write_log(folder: Path, *lines: dict, start: str = '1') -> None:
    path = folder / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def test_the_last_value_of_all_logs_counts(tmp_path):
    write_log(tmp_path, dict(loss=2., step=1), {'accuracy/top1': 10., 'step': 1})
    write_log(tmp_path, {'accuracy/top1': 30., 'step': 2}, dict(loss=1., step=3), start='2')
    assert read_metric(tmp_path, 'accuracy/top1') == 30 and read_metric(tmp_path, 'loss') == 1
    with pytest.raises(InputError, match='has no top5; it has accuracy/top1, loss, step'):
        read_metric(tmp_path, 'top5')
    with pytest.raises(InputError, match='has no top5; it has nothing'):
        read_metric(tmp_path / 'none', 'top5')


def test_a_last_line_that_was_cut_does_not_count(tmp_path):
    write_log(tmp_path, dict(top1=10., step=1), dict(top1=20., step=2))
    log = tmp_path / '1/vis_data/scalars.json'
    log.write_text(log.read_text()[:-4])
    assert read_metric(tmp_path, 'top1') == 10
    log.write_text('{"top1"\n' + log.read_text())
    with pytest.raises(json.JSONDecodeError):
        read_metric(tmp_path, 'top1')


TRAIN = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
lr = float(sys.argv[-1].partition('=')[2])
print('resuming' if '--resume' in sys.argv else 'new')
if lr == 3 and '--resume' not in sys.argv:
    (folder / 'epoch_1.pth').touch()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    sys.exit('out of memory')
(folder / 'run/vis_data').mkdir(parents=True)
(folder / 'run/vis_data/scalars.json').write_text(json.dumps(dict(top1=float('nan') if lr == 4 else lr)))
"""


@pytest.mark.processes
def test_runs_are_told_resumed_and_not_repeated(tmp_path, capfd):
    script = tmp_path / 'train.py'
    script.write_text(TRAIN)

    def run(lr: int, *arguments: str) -> float | None:
        return SweepRuns([sys.executable, str(script)], tmp_path / 'all', 'top1', arguments)(dict(lr=str(lr)))

    assert run(2) == 2 and run(2) == 2 and run(4) is None
    assert (tmp_path / 'all/lr=2/output.log').read_text() == 'new\n'
    assert run(3) is None
    assert 'lr=3: failed with status 1, see ' in (told := capfd.readouterr().err) and 'out of memory' in told
    assert run(3) == 3
    assert (tmp_path / 'all/lr=3/output.log').read_text() == 'new\nout of memory\nresuming\n'
    with pytest.raises(InputError, match='lr=2 holds a training by .*train.py: take another --work-dir'):
        run(2, '--amp')


@pytest.mark.processes
def test_a_stopped_run_does_not_go_on_under_other_arguments(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text(TRAIN)

    def run(*arguments: str) -> float | None:
        return SweepRuns([sys.executable, str(script)], tmp_path / 'all', 'top1', arguments)(dict(lr='3'))

    assert run() is None
    with pytest.raises(InputError, match='lr=3 holds a training by .*train.py: take another --work-dir'):
        run('--amp')
    assert run() == 3


CONFIG = """
_base_ = '{root}/configs/_base_/classification_runtime.py'
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]
loader = dict(batch_size=4, num_workers=0, dataset=dict(type='CustomDataset', data_root='{data}', pipeline=pipeline),
              sampler=dict(type='DefaultSampler', shuffle=True))
train_dataloader = val_dataloader = test_dataloader = loader
val_evaluator = test_evaluator = dict(type='Accuracy')
data_preprocessor = dict(mean=[120.] * 3, std=[60.] * 3, num_classes=2)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8),
                  img_size=32, patch_size=16, out_type='avg_featmap', final_norm=False),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=8))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05), paramwise_cfg=dict(layer_decay_rate=.5),
                     constructor='mim_plugins.LayerDecayOptimWrapperConstructor')
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture
def in_process(monkeypatch):
    """Trainings that run as in processes of their own."""

    def run(command: list[str], stdout: IO[str], stderr: int, check: bool) -> Namespace:
        python, tool, *arguments = command
        assert python == sys.executable
        stdout.write(run_tool(tool, *arguments, cwd=Path.cwd()))
        return Namespace(returncode=0)

    monkeypatch.setattr('mim_plugins.engine.sweep_runs.subprocess.run', run)


def test_the_tool_trains_a_grid_once(tmp_path, in_process):
    for name in ('ant', 'bee'):
        write_images(tmp_path / 'data' / name, 4)
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT, data=tmp_path / 'data'))
    command = [ROOT / 'tools/sweep.py', config, '--grid', 'optim_wrapper.optimizer.lr=1e-4,1e-3']
    printed = run_tool(*command, cwd=tmp_path)
    folder = tmp_path / 'work_dirs/tiny_sweep'
    assert sorted(path.name for path in folder.iterdir()) == [
        'optim_wrapper.optimizer.lr=0.0001', 'optim_wrapper.optimizer.lr=0.001']
    lines = printed.strip().splitlines()[-3:]
    assert lines[0].split() == ['optim_wrapper.optimizer.lr', 'accuracy/top1'] and sum('best' in x for x in lines) == 1
    for line in lines[1:]:
        lr, value = line.split()[:2]
        assert read_metric(folder / f'optim_wrapper.optimizer.lr={lr}', 'accuracy/top1') == float(value)
        assert len(list((folder / f'optim_wrapper.optimizer.lr={lr}').glob('*/vis_data'))) == 1
    assert run_tool(*command, cwd=tmp_path).strip().splitlines()[-3:] == lines
    assert len(list(folder.glob('*/*/vis_data'))) == 2


@pytest.mark.parametrize('arguments, sentence', [
    (['gone.py', '--grid', 'lr=1'], 'error: no config file at gone.py'),
    (['gone.py', '--grid', 'lr=1', '--grid', 'lr=2'], 'error: each --grid must be of another setting'),
])
def test_the_tool_refuses(tmp_path, arguments, sentence):
    assert sentence in run_tool(ROOT / 'tools/sweep.py', *arguments, cwd=tmp_path, ok=False)
