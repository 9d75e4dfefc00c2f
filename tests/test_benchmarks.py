"""The benchmarks' arithmetic, records and choices; what they time is not looked at."""
import argparse
import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.hub import get_config
from mmengine.model import BaseModel
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
CPU = torch.device('cpu')
SMALL = dict(_delete_=True, embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)


class _Attention(nn.Module):
    """Three tokens of 16 that attend each other."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, images: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*self.qkv(images.flatten(2)).chunk(3, -1))


class _WithTarget(BaseModel):
    """A linear prediction of a linear target."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.target_generator = nn.Linear(48, 5), nn.Linear(48, 5).requires_grad_(False)

    def forward(self, inputs: Tensor, data_samples: list, mode: str) -> dict[str, Tensor]:
        tokens = inputs.float().flatten(1)
        error = (self.backbone(tokens) - self.target_generator(tokens)).square().mean()
        return dict(loss=error, watched=error.detach() * 1000)


def _batch(images: int = 2) -> dict:
    return dict(inputs=torch.randint(256, (images, 3, 4, 4), dtype=torch.uint8), data_samples=[])


@pytest.fixture
def without_programs(script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Describe the machine without asking git and uname."""
    monkeypatch.setattr(script('machine'), '_first_line', lambda *command: 'abc')
    monkeypatch.setattr('platform.processor', lambda: 'a processor')
    monkeypatch.setattr('platform.platform', lambda terse: 'a system')


def _plain(script, encoder: nn.Module, trained: bool = True):
    return script('stepping').Step(script('candidates').PlainEncoder(encoder), _batch(), CPU, trained)


def test_flops_of_linear_layers(script) -> None:
    step = _plain(script, nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.Linear(5, 7)))
    # Forward and weights' gradients of both, and the gradient of what comes into the second.
    assert step.flops(_batch(3)) == 2 * (2 * (48 * 5 + 5 * 7) + 5 * 7)


def test_flops_of_fused_attention(script) -> None:
    step = _plain(script, _Attention())
    linear, product = 2 * 3 * 16 * 48, 2 * 3 * 3 * 16
    assert step.flops(_batch()) == 2 * linear + 2 * product + 4 * product  # nothing computed again


def test_flops_without_the_target(script) -> None:
    step = script('stepping').Step(_WithTarget(), _batch(), CPU)
    assert step.flops(_batch()) == 2 * 2 * 48 * 5


def test_flops_of_a_compiled_part(script) -> None:
    step = script('stepping').Step(_WithTarget(), _batch(), CPU, compiled='default')
    assert step.model.backbone._compiled_call_impl is not None
    assert step.flops(_batch()) == 2 * 2 * 48 * 5


def test_step_trains(script) -> None:
    step = script('stepping').Step(_WithTarget(), _batch(), CPU)
    before, sizes = step.model.backbone.weight.clone(), []
    torch.testing.assert_close(step.loss(step.data), step.model(**step.data, mode='loss')['loss'])
    step.model.backbone.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    step()
    assert not torch.equal(step.model.backbone.weight, before)
    step(_batch(5))
    assert sizes == [2, 5]


def test_step_without_optimizer(script) -> None:
    step = _plain(script, nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), trained=False)
    before = step.model.encoder[1].weight.clone()
    step()
    assert torch.equal(step.model.encoder[1].weight, before)
    assert step.state_bytes() == 2 * 4 * (48 * 5 + 5)


def test_state_of_a_training(script) -> None:
    step = script('stepping').Step(_WithTarget(), _batch(), CPU)
    assert step.state_bytes() == 4 * (48 * 5 + 5) * (4 + 1)  # the target's weights have neither gradient nor moments


def test_released_simmim_computes_what_ours_does(script) -> None:
    candidates = script('candidates')
    changes = dict(input_size=64, backbone=dict(arch=SMALL, drop_path_rate=0.), neck=dict(in_channels=32))
    ours, released = candidates.our_model('simmim_vit-base', **changes), candidates.released_simmim(**changes)
    ours.init_weights()
    released.load_state_dict(ours.state_dict(), strict=False)
    nn.init.normal_(ours.backbone.rel_pos_bias.relative_position_bias_table)
    released.backbone.rel_pos_bias.load_state_dict(ours.backbone.rel_pos_bias.state_dict(), strict=False)
    images, mask = torch.randn(2, 3, 64, 64), torch.tensor([[[True, False], [False, True]]] * 2)
    losses = [model(images, mask=mask, mode='loss')['loss'] for model in (ours, released)]
    torch.testing.assert_close(*losses)
    assert type(released.backbone).__name__ == 'BEiTViT'


def test_masks_for_mmpretrain(script) -> None:
    samples = script('candidates').peer_samples
    masks = torch.stack([torch.as_tensor(sample.mask) for sample in samples('SimMIM Swin-B', 192, 3)])
    assert masks.shape == (3, 48, 48) and (masks.sum((1, 2)) == 22 * 64).all()
    assert samples('MaskFeat ViT-B', 224, 1)[0].mask.sum() == 78
    assert 'mask' not in samples('MAE ViT-B', 224, 1)[0]


def test_groups_name_candidates(script) -> None:
    candidates, aims = script('candidates').CANDIDATES, script('aims')
    for group in aims.GROUPS.values():
        assert set(group.names) <= set(candidates)
        for aim in group.aims:
            assert {*aim.of, *([aim.against] if aim.against else [])} <= {*group.names, *group.parts}


def test_candidates_have_their_configs(script) -> None:
    fed, candidates = script('fed'), script('candidates')
    for name, recipe in fed.RECIPES.items():
        assert name in candidates.CANDIDATES
        if recipe not in candidates.PEERS:
            config = fed.recipe(name, 'fast')
            assert config.model.input_size == candidates.CANDIDATES[name].size
            assert config.train_dataloader.dataset.pipeline[0].type == 'mim_plugins.LoadAndCrop'
    for name, path in candidates.PEERS.items():
        assert get_config(f'mmpretrain::{path}.py').model.type == name.split()[0].replace('-B', '')


def test_aims(script) -> None:
    aims = script('aims')
    figures = dict(a=dict(images_per_second=6., peak_bytes=3., seconds=1.), b=dict(images_per_second=2., peak_bytes=6.))
    found = aims.faster('a', 'b', cpu=2.5).report(figures, 'cpu')
    assert found == dict(text='a: 3.00 times the images/s of b', value=3., aim='>= 2.5', met=True)
    assert aims.faster('a', 'b', cpu=3.5).report(figures, 'cpu')['met'] is False
    assert 'aim' not in aims.faster('a', 'b', cpu=3.5).report(figures, 'cuda')
    everything, beyond = aims.lighter('a', 'b', 0.3)
    assert everything.report(figures, 'cuda') == dict(
        text='a: 50 % of the memory of b', value=.5, aim='<= 0.3', met=False)
    assert beyond.report(figures, 'cuda') is None
    summed = aims.Aim('seconds', ('a', 'c'), 'b')
    assert summed.ratio(dict(a=dict(seconds=.01), c=dict(seconds=.02), b=dict(seconds=3.))) == pytest.approx(.01)
    assert aims.Aim('utilisation', ('a', ), None).report(dict(a=dict(utilisation=.5)), 'cuda')['value'] == .5


def test_steps_of_a_group(script, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, candidates, aims = script('steps'), script('candidates'), script('aims')

    def fails() -> nn.Module:
        raise torch.OutOfMemoryError('4 GiB are not there\nand more')

    tiny = {name: candidates.Candidate('ours', 4, lambda: candidates.PlainEncoder(
        nn.Sequential(nn.Flatten(), nn.Linear(48, 5)))) for name in ('a', 'b')}
    monkeypatch.setattr(steps, 'CANDIDATES', {**tiny, 'c': candidates.Candidate('ours', 4, fails)})
    monkeypatch.setattr(steps, 'in_own_process', lambda function, *args: function(*args))
    monkeypatch.setattr(steps, 'MATMUL', 8)
    args = argparse.Namespace(batch=4, runs=2, device=CPU, compile='none', compile_mode='default', peak_tflops=1e-6)
    group = aims.Group(('a', 'b', 'c'), [aims.faster('a', 'b', cpu=0), aims.faster('a', 'c', cpu=0)])
    result = steps.run_group(group, args)
    found = result['candidates']['a']
    assert set(result['candidates']) == {'a', 'b'}
    assert result['failed'] == {'c': 'OutOfMemoryError: 4 GiB are not there'}
    assert found['flops_per_image'] == 2 * 2 * 48 * 5
    assert found['images_per_second'] == 4 / found['times']['median']
    assert found['utilisation'] == pytest.approx(found['images_per_second'] * 960 / 1e6)
    assert [ratio['met'] for ratio in result['ratios']] == [True]
    assert [row['Step'] for row in steps.rows(result)] == ['a', 'b']
    assert steps.notes(result)[-1] == 'c failed: OutOfMemoryError: 4 GiB are not there'


def test_group_sets_what_was_not_given(script) -> None:
    steps, aims = script('steps'), script('aims')
    group, given = aims.Group((), [], on_cpu=(6, 2)), dict(batch=None, runs=None)
    for device, options, expected in (('cpu', {}, (6, 2)), ('cpu', dict(batch=1), (1, 2)), ('cuda', {}, steps.ON_GPU),
                                      ('cuda', dict(runs=1), (steps.ON_GPU[0], 1))):
        args = steps.with_defaults(argparse.Namespace(**{**given, **options}, device=torch.device(device)), group)
        assert (args.batch, args.runs) == expected


def test_compiled_results_lie_beside_plain_ones(
        script, without_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, fed = script('steps'), script('fed')
    monkeypatch.setattr(script('common'), 'RESULTS', tmp_path)
    monkeypatch.setattr(steps, 'run_group', lambda group, args: dict(
        batch=args.batch, runs=args.runs, precision='float32', compiled=args.compile, peak_tflops=None, candidates={},
        failed={}, ratios=[]))
    monkeypatch.setattr(fed, 'write_jpegs', lambda folder, number: None)
    monkeypatch.setattr(fed, 'measure', lambda name, folder, args: dict(synthetic=[2.], fed=[1.], waiting=[.1]))
    threads = str(torch.get_num_threads())
    for options in ([], ['--compile', 'ours']):
        monkeypatch.setattr('sys.argv', ['steps.py', '--group', 'mae', '--device', 'cpu', *options])
        steps.main()
    for options in ([], ['--compile']):
        monkeypatch.setattr('sys.argv', ['fed.py', '--loading', 'fast', '--threads', threads, *options])
        fed.main()
    assert {path.name.split('.')[0] for path in tmp_path.iterdir()} == {
        'steps-mae', 'steps-mae-compiled', 'fed-fast', 'fed-fast-compiled'}


def test_masks_are_drawn_for_a_batch(script) -> None:
    shapes = {'random': (6, 6), 'blocks': (14, 14), 'squares': (14, 14)}
    for name, draw in script('masks').candidates(3).items():
        masks, kind = draw(), name.split(',')[0]
        assert len(masks) == 3
        if name.endswith('ours'):
            assert masks.shape[1:] == shapes[kind]


def test_attentions_take_the_same_tokens(script) -> None:
    attention = script('attention')
    case = attention.CASES['ViT-B 128']
    tokens = torch.randn(1, *case.tokens)
    for build in case.ways.values():
        assert build()[1](tokens).shape == tokens.shape


@pytest.mark.processes
def test_fresh_process(script) -> None:
    common = script('common')
    assert common.in_own_process(math.sqrt, 9.) == 3
    with pytest.raises(ValueError):
        common.in_own_process(math.sqrt, -1.)


@pytest.mark.processes
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='the peak of a process is read from Linux')
def test_growth_of_a_process(script) -> None:
    common = script('common')  # a process that has given memory back would take that first
    grown = common.in_own_process(common.peak_growth, partial(torch.ones, 64, 2**20, dtype=torch.uint8), CPU)
    assert 60 * 2**20 < grown < 80 * 2**20


def test_runs_in_turn(script) -> None:
    calls = []
    times = script('common').interleaved({name: lambda name=name: calls.append(name) for name in 'ab'}, runs=2)
    assert ''.join(calls) == 'ababab'  # the first of each is not timed
    assert all(found['min'] <= found['median'] <= found['max'] for found in times.values())


def test_results_of_devices_lie_side_by_side(
        script, without_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common = script('common')
    monkeypatch.setattr(common, 'RESULTS', tmp_path / 'results')
    for device in ('cpu', 'cuda'):
        path = common.store('hog', dict(device=device), torch.device(device))
        found = json.loads(path.read_text())
        assert path.name == f'hog.{device}.json' and found['device'] == device
        assert found['machine']['torch'] == torch.__version__ and found['machine']['command'].startswith('python')
        assert found['machine']['commit'] == 'abc'


def test_peaks(script) -> None:
    machine = script('machine')
    names = {'NVIDIA H100 80GB HBM3': 989e12, 'NVIDIA H100 PCIe': 756e12, 'NVIDIA A100-SXM4-80GB': 312e12,
             'NVIDIA GeForce RTX 4090': 165e12, 'another': None}
    assert {name: machine.peak_flops(name) for name in names} == names


@pytest.mark.processes
def test_first_line_of_a_command(script) -> None:
    first_line = script('machine')._first_line
    assert first_line('no-such-command') == ''
    assert first_line('echo', 'abc\ndef') == 'abc'


def test_tables(script, tmp_path: Path) -> None:
    tables = script('tables')
    described = dict(cpu='X', threads=2, gpu='none', python='3', torch='2', mmpretrain='1', commit='abc', dirty=True,
                     cores=4, memory_gib=8., command='python benchmarks/masks.py')
    times = dict(median=.1, min=.0994, max=.2)
    result = dict(machine=described, times={'8': dict(ours=times), '9': dict(ours=dict.fromkeys(times, .002))})
    (tmp_path / 'masks.cpu.json').write_text(json.dumps(result))
    text = 'before\n<!-- table: masks -->\nold\n<!-- end -->\n<!-- table: hog -->\nold\n<!-- end -->\nafter\n'
    filled = tables.filled(text, tmp_path)
    assert filled == tables.filled(filled, tmp_path)
    assert '| ours | 100 (99-200) | 2.0 (2.0-2.0) |' in filled
    assert 'X, 4 cores, 8.0 GiB, 2 threads, Python 3, torch 2, mmpretrain 1, commit abc with changes; `python' in filled
    assert filled.endswith('<!-- table: hog -->\n<!-- end -->\nafter\n') and 'old' not in filled


def test_figures_of_a_script_without_a_table_of_its_own(script) -> None:
    result = dict(rates=dict(a=dict(median=1.23456, runs=3)), sizes=[1, 2], kind='x')
    assert script('tables').flattened(result) == [
        {'Figure': 'rates, a, median', 'Value': '1.235'}, {'Figure': 'rates, a, runs', 'Value': '3'},
        {'Figure': 'kind', 'Value': 'x'}]


def test_readme_shows_the_stored_results(script) -> None:
    tables = script('tables')
    text = tables.README.read_text()
    assert tables.filled(text, ROOT / 'benchmarks/results') == text
    for path in (ROOT / 'benchmarks/results').iterdir():
        name, device, _ = path.name.split('.')
        assert device in ('cpu', 'cuda')
        assert f'<!-- table: {name} -->' in text


def test_every_script_can_be_run(script, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    run = script('run')
    for name in run.SCRIPTS:
        assert (ROOT / f'benchmarks/{name}.py').is_file()
    monkeypatch.setattr('sys.argv', ['run.py', 'hogg'])
    with pytest.raises(SystemExit):
        run.parse_args()
    assert 'no benchmark is called hogg' in capsys.readouterr().err
    monkeypatch.setattr('sys.argv', ['run.py', '--quick'])
    assert 'steps' in run.parse_args().names and 'pixmim' not in run.parse_args().names


def test_compiled_runs_need_a_gpu(script, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = script('run').SCRIPTS['fed']
    for there, number in ((False, 2), (True, 4)):
        monkeypatch.setattr('torch.cuda.is_available', lambda there=there: there)
        assert len(fed.runs(quick=False)) == number
        assert any('--compile' in options for options in fed.runs(quick=False)) == there
        assert fed.runs(quick=True) == (fed.quick, )


def test_every_run_has_a_place_in_the_readme(script) -> None:
    text = script('tables').README.read_text()
    names = [f'steps-{group}' for group in (*script('aims').GROUPS, 'chosen')] + ['fed-recipe', 'fed-fast']
    names += [f'{name}-compiled' for name in names] + [name for name in script('run').SCRIPTS
                                                      if name not in ('steps', 'fed')]
    assert [name for name in names if text.count(f'<!-- table: {name} -->') != 1] == []


@pytest.mark.slow
@pytest.mark.processes
def test_quick_run(tmp_path: Path) -> None:
    readme = ROOT / 'benchmarks/README.md'
    before = readme.read_text()
    done = subprocess.run(
        [sys.executable, ROOT / 'benchmarks/run.py', '--quick', 'masks'], text=True, capture_output=True, check=True,
        env={**os.environ, 'BENCHMARK_RESULTS': str(tmp_path)})
    assert '== masks --batches 8 --runs 1' in done.stdout
    path, = tmp_path.iterdir()
    assert path.name.startswith('masks.')
    assert list(json.loads(path.read_text())['times']) == ['8']
    assert readme.read_text() == before
