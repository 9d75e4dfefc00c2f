"""Every method with compiled encoder and decoder: equal losses and gradients, one graph each for every size."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch._dynamo.testing import CompileCounter

from mim_plugins.engine.compilation import compile_in_place
from mim_plugins.registry import MODELS

from .test_mixmim import config as mixmim

DEMO = Path(__file__).parents[2] / 'configs' / 'demo'
VIT = dict(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32))
SWIN = dict(arch=dict(embed_dims=8, depths=[1, 2, 1, 1], num_heads=[1, 1, 2, 2]))
# Recipe, what makes its encoder smaller, and the width of its last features.
METHODS = {
    'fastmae': ('fastmae_vit-micro_bs64_demo-32', VIT, 16),
    'fastmim-p swin': ('fastmim-p_swin-micro_bs64_demo-32-64', SWIN, 64),
    'fastmim cmt': ('fastmim_cmt-micro_bs64_demo-64', {}, None),
    'fastmim pvt': ('fastmim_pvt-micro_bs64_demo-64', {}, None),
    'fastmim pvtv2': ('fastmim_pvtv2-micro_bs64_demo-64', {}, None),
    'fastmim twins': ('fastmim_twins-micro_bs64_demo-64', {}, None),
    'fastmim vit': ('fastmim_vit-micro_bs64_demo-32', VIT, 16),
    'mae': ('mae_vit-micro_bs64_demo-32', VIT, 16),
    'pixmim convmae': ('pixmim-convmae_micro_bs64_demo-64', {}, None),
    'pixmim lsmae': ('pixmim-lsmae_vit-micro_bs64_demo-64', VIT, 16),
    'pixmim mff': ('pixmim-mff_vit-micro_bs64_demo-32', dict(VIT, fused_layers=[0, 1]), 16),
    'simmim swin': ('simmim_swin-micro_bs64_demo-32', SWIN, 64),
    'simmim swinv2': ('simmim_swinv2-micro_bs64_demo-32', dict(arch=dict(
        SWIN['arch'], extra_norm_every_n_blocks=0)), 64),
    'simmim vit': ('simmim_vit-micro_bs64_demo-32', VIT, 16),
}
MIXED = ['mixmim', 'swin', 'pvt', 'vit', 'resnet', 'convmae', 'timm']


def small(method: str, **backbone: object) -> dict:
    """Config of a method's demo recipe, smaller still."""
    if method.startswith('mixed '):
        return mixmim(method.removeprefix('mixed '), size=(64, 64))
    name, changes, width = METHODS[method]
    cfg = Config.fromfile(DEMO / f'{name}.py').model
    cfg.backbone.update({**changes, **backbone})
    cfg.neck.update(in_channels=width or cfg.neck.in_channels)
    if 'depth' in cfg.neck:
        cfg.neck.depth = 1
    return cfg


def batch_of(model: torch.nn.Module, number: int = 2) -> dict:
    data = dict(inputs=torch.randint(256, (number, 3, *model.input_size), dtype=torch.uint8), data_samples=[])
    target = model.target_generator
    if 'features' in target.needs:
        grid = [side // target.map_stride for side in model.input_size]
        data['target_inputs'] = dict(features=torch.randn(number, *grid, target.channels))
    return model.data_preprocessor(data, True)


def step(model: torch.nn.Module, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of a training step, always with the same stochastic depth."""
    torch.manual_seed(1)
    model.zero_grad()
    loss = model.parse_losses(model(**batch, mode='loss'))[0]
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def compiled(model: torch.nn.Module, **options: object) -> tuple[torch.nn.Module, dict[str, CompileCounter]]:
    """A compiled copy, and what counts its graphs."""
    torch._dynamo.reset()
    model = copy.deepcopy(model)
    counters = {name: CompileCounter() for name in ('backbone', 'neck')}
    for name, counter in counters.items():
        compile_in_place(getattr(model, name), backend=counter, **options)
    return model, counters


def check_equal(plain: torch.nn.Module, fast: torch.nn.Module) -> None:
    batch = batch_of(plain)
    expected, found = step(plain, batch), step(fast, batch)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    assert found[1].keys() == expected[1].keys()
    scale = max(gradient.abs().max() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        assert (found[1][name] - gradient).abs().max() < 1e-5 * scale, name


# Plain tokens with supervised layers, and windows; the whole suite has the others.
OFTEN = ['fastmae', 'simmim swin']
ALL = [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow)
       for name in [*METHODS, *(f'mixed {name}' for name in MIXED)]]


@pytest.mark.parametrize('method', ALL)
def test_compiled_steps_are_the_plain_ones(method):
    plain = MODELS.build(small(method)).train()
    fast, counters = compiled(plain, fullgraph=True)
    size = plain.input_size
    graphs = []
    for wanted in (size, size, tuple(2 * side for side in size), size):
        for model in (plain, fast):
            if wanted != model.input_size:
                model.set_input_size(wanted)
        check_equal(plain, fast)
        graphs.append([counter.frame_count for counter in counters.values()])
    assert graphs == [[1, 1], [1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize('method', [
    pytest.param('pixmim convmae', marks=pytest.mark.slow), 'simmim swin',
    pytest.param('mixed mixmim', marks=pytest.mark.slow)])
def test_with_recomputed_blocks(method):
    settings = small(method)
    plain = MODELS.build({**settings, 'backbone': {**settings['backbone'], 'with_cp': True}}).train()
    fast, counters = compiled(plain, fullgraph=True)
    for _ in range(2):
        check_equal(plain, fast)
    assert [counter.frame_count for counter in counters.values()] == [1, 1]


def test_blocks_are_supervised_after_a_step_without():
    """A compiled encoder does not notice hooks that come later."""
    plain = MODELS.build(small('fastmae')).train()
    fast, counters = compiled(plain)
    fast(batch_of(fast)['inputs'], mode='tensor')
    check_equal(plain, fast)
    assert counters['backbone'].frame_count == 2  # with and without masks


def test_masks_change_from_step_to_step():
    plain = MODELS.build(small('mae')).train()
    fast, _ = compiled(plain)
    batch, losses = batch_of(plain), set()
    for seed in range(3):
        batch['mask'] = batch['mask'].flip(seed % 2 + 1).roll(seed, 1)
        expected, found = step(plain, batch)[0], step(fast, batch)[0]
        torch.testing.assert_close(found, expected)
        losses.add(float(found))
    assert len(losses) == 3


@pytest.mark.slow
@pytest.mark.processes
def test_the_real_backend():
    plain = MODELS.build(small('simmim vit')).train()
    fast = copy.deepcopy(plain)
    compile_in_place(fast.neck, backend='inductor')
    check_equal(plain, fast)


def test_copies_and_names_are_as_without():
    plain = MODELS.build(small('mae')).train()
    fast, counters = compiled(plain)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    check_equal(plain, copy.deepcopy(fast))
    assert counters['backbone'].frame_count == 0
