"""Activation checkpointing: the same outputs, gradients and statistics from blocks that keep nothing."""
from collections.abc import Callable

import pytest
import torch
from torch import nn

from mim_plugins.models import (
    CMT,
    InverseSwinDecoder,
    MAEDecoder,
    MFFVisionTransformer,
    SinCosVisionTransformer,
    TransformerDecoder,
    TwinsSVT,
)
from mim_plugins.models.backbones.recomputation import recompute_blocks

PLAIN = dict(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32), img_size=64)
STAGES = dict(embed_dims=[8, 8, 16, 16], depths=[2, 2, 2, 2], num_heads=[1, 2, 2, 4], mlp_ratios=[2, 2, 2, 2],
              sr_ratios=[8, 4, 2, 1])
TWINS = {**STAGES, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2], 'window_sizes': [2, 2, 2, 2]}
FEATURES = dict(in_channels=16, out_channels=3, stride=16, out_stride=16)
# With their number of blocks.
MODELS = {
    'vit': (lambda **o: SinCosVisionTransformer(**PLAIN, drop_path_rate=.5, **o), 2),
    'mff': (lambda **o: MFFVisionTransformer(**PLAIN, fused_layers=[0, 1], drop_path_rate=.5, **o), 2),
    'twins': (lambda **o: TwinsSVT(TWINS, drop_path_rate=.5, **o), 8),
    'cmt': (lambda **o: CMT({**STAGES, 'stem_channels': 8}, 64, drop_path_rate=.5, **o), 8),
    'decoder': (lambda **o: TransformerDecoder(16, 2, num_extra_tokens=1, **FEATURES, **o), 2),
    'mae decoder': (lambda **o: MAEDecoder(16, 2, num_extra_tokens=1, **FEATURES, **o), 2),
    'inverse swin': (lambda **o: InverseSwinDecoder(
        dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2]), 2, **FEATURES, **o), 3),
}


def run(model: nn.Module) -> torch.Tensor:
    if isinstance(model, TransformerDecoder | InverseSwinDecoder):
        model.set_input_size((64, 64))
        features = torch.linspace(-1, 1, 2 * 17 * 16).view(2, 17, 16).to(next(model.parameters()))
        plain = isinstance(model, TransformerDecoder)
        return model(features[:, 1 - plain:], (64, 64), torch.eye(4).bool().expand(2, -1, -1))
    images = torch.linspace(-1, 1, 2 * 3 * 64 * 64).sin().view(2, 3, 64, 64)
    return model(images.to(next(model.parameters())))[-1]


def pair(make: Callable[..., nn.Module]) -> tuple[nn.Module, nn.Module]:
    """A model and one that recomputes its blocks, with the same weights, to be trained."""
    plain, frugal = make(), make(with_cp=True)
    plain.init_weights()
    frugal.load_state_dict(plain.state_dict())
    for model in (plain, frugal):
        model.train()
    return plain, frugal


@pytest.mark.parametrize('name', MODELS)
class TestEverything:

    @pytest.mark.parametrize('mixed', [False, True])
    def test_changes_neither_outputs_nor_gradients_nor_statistics(self, name, mixed):
        make, _ = MODELS[name]
        plain, frugal = pair(make)
        results = []
        for model in (plain, frugal):
            if not mixed:
                model.double()
            torch.manual_seed(1)
            with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
                output = run(model)
            (output.float()**3).sum().backward()
            results.append([output, *(value.grad for value in model.parameters()), *model.buffers()])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)
        assert frugal.state_dict().keys() == plain.state_dict().keys()

    def test_every_block_runs_twice(self, name):
        make, blocks = MODELS[name]
        model, calls = make(with_cp=True), []
        for module in model.modules():
            if hasattr(module, 'ffn'):
                module.ffn.register_forward_pre_hook(lambda *_: calls.append(1))
        model.eval()  # no drop path
        run(model).square().sum().backward()
        assert len(calls) == 2 * blocks
        with torch.no_grad():
            run(model)
        assert len(calls) == 3 * blocks


def test_norms_that_are_frozen_stay_so():
    block = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    recompute_blocks([block])
    block[1].eval()
    block(torch.randn(4, 2, 3, 3)).square().sum().backward()
    assert block[1].num_batches_tracked == 0 and not block[1].running_mean.any()
    assert block[1].momentum == block[2].momentum == .1


def test_each_batch_counts_once():
    block = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    recompute_blocks([block])
    for _ in range(3):
        block(torch.randn(4, 2, 3, 3)).square().sum().backward()
    assert block[1].num_batches_tracked == 3


def test_norms_still_have_something_to_count_with():
    """SyncBatchNorm, which only runs on a GPU, asks for it."""
    block, seen = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), []
    block[1].register_forward_pre_hook(lambda norm, inputs: seen.append(norm.num_batches_tracked is not None))
    recompute_blocks([block])
    block(torch.randn(4, 2, 3, 3)).square().sum().backward()
    assert seen == [True, True]


def test_cumulative_statistics_count_each_batch_once_as_well():
    plain, block = (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, momentum=None)) for _ in range(2))
    block.load_state_dict(plain.state_dict())
    recompute_blocks([block])
    for images in torch.randn(3, 4, 2, 3, 3):
        plain(images)
        block(images).square().sum().backward()
    torch.testing.assert_close(block[1].running_var, plain[1].running_var)
    assert block[1].momentum is None


@pytest.mark.parametrize('name', [
    'vit', pytest.param('cmt', marks=pytest.mark.slow), pytest.param('twins', marks=pytest.mark.slow)])
def test_works_under_compile(name):
    make, _ = MODELS[name]
    plain, frugal = pair(make)
    results = []
    for model in (plain, frugal):
        for module in model.modules():
            if hasattr(module, 'drop_prob'):
                module.drop_prob = 0.  # a compiled graph draws other numbers
    torch._dynamo.reset()
    for model, forward in ((plain, run), (frugal, torch.compile(run, backend='aot_eager', fullgraph=True))):
        output = forward(model)
        output.square().sum().backward()
        results.append([output, *(value.grad for value in model.parameters()), *model.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
