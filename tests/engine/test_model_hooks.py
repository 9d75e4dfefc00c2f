"""Hooks that change how a model runs and leave what it computes: channels last, activation checkpointing."""
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel, ImgDataPreprocessor
from mmpretrain.models import ResNet, VisionTransformer
from torch import nn
from torch.utils._pytree import tree_leaves

from mim_plugins.engine.hooks import ChannelsLastHook, RecomputationHook
from mim_plugins.errors import InputError
from mim_plugins.models import CMT, ConvMAEEncoder

Maps = namedtuple('Maps', 'maps size')
STAGES = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], mlp_ratios=[2, 2, 2, 2],
              sr_ratios=[8, 4, 2, 1], stem_channels=8)
ENCODERS = {
    'resnet': lambda: ResNet(18, base_channels=8, stem_channels=8, out_indices=(2, 3)),
    'convmae': lambda: ConvMAEEncoder(dict(embed_dims=[8, 8, 16], depths=[1, 1, 1], num_heads=2), 64),
    'cmt': lambda: CMT(STAGES, 64),
    'vit': lambda: VisionTransformer(dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32), 64,
                                     drop_path_rate=.5),
}


def two_models(name: str, hook) -> list[nn.Module]:
    """Two models with the same encoder, the second in the hook's hands."""
    models = [nn.ModuleDict({'backbone': ENCODERS[name]()}) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    hook.before_run(SimpleNamespace(model=models[1]))
    return models


def step(model: nn.Module) -> list[torch.Tensor]:
    """Outputs, gradients and buffers after one step."""
    torch.manual_seed(1)
    images = torch.randn(4, 3, 64, 64)
    outputs = model.backbone(images)
    sum((part**2).mean() for part in outputs).backward()
    return [*outputs, *(value.grad for value in model.parameters() if value.grad is not None), *model.buffers()]


class TestChannelsLast:

    @pytest.mark.parametrize('name', ENCODERS)
    def test_changes_the_layout_only(self, name):
        plain, changed = two_models(name, ChannelsLastHook())
        seen = []
        first = next(module for module in changed.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_hook(lambda module, inputs, output: seen.extend([*inputs, output]))
        results = step(plain), step(changed)
        assert all(part.is_contiguous(memory_format=torch.channels_last) for part in seen) and len(seen) == 2
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-4)
            assert other.ndim != 4 or other.is_contiguous()

    def test_takes_other_inputs_as_they_are(self):
        _, changed = two_models('convmae', ChannelsLastHook())
        mask = torch.eye(4).bool().expand(2, -1, -1)
        assert changed.backbone(torch.randn(2, 3, 64, 64), mask).shape == (2, 12, 16)


    @pytest.mark.parametrize('make', [
        lambda images: dict(low=images, deep=[images, None]), lambda images: Maps(images, 3)])
    def test_outputs_of_any_structure(self, make):
        encoder = nn.Identity()
        encoder.forward = make
        ChannelsLastHook().before_run(SimpleNamespace(model=nn.ModuleDict({'backbone': encoder})))
        images = torch.randn(2, 3, 4, 4)
        found = encoder(images)
        assert type(found) is type(make(images))
        for part, given in zip(tree_leaves(found), tree_leaves(make(images)), strict=True):
            assert part is given or torch.equal(part, images) and part.is_contiguous()


class TestRecomputation:

    @pytest.mark.parametrize('name, blocks, repeated', [
        ('vit', ['backbone.layers'], 3), ('vit', ['backbone.layers.1'], 1), ('resnet', ['backbone.layer1'], 2)])
    def test_changes_no_result(self, name, blocks, repeated):
        plain, changed = two_models(name, RecomputationHook(blocks))
        calls = []
        for module in changed.modules():
            if hasattr(module, 'ffn') or hasattr(module, 'conv1') and hasattr(module, 'downsample'):
                part = module.ffn if hasattr(module, 'ffn') else module.conv1
                part.register_forward_pre_hook(lambda *_: calls.append(1))
        for one, other in zip(step(plain), step(changed), strict=True):
            torch.testing.assert_close(other, one)
        assert len(calls) == repeated + (3 if name == 'vit' else 8)


@pytest.mark.parametrize('hook, name', [(ChannelsLastHook('encoder'), 'encoder'),
                                        (ChannelsLastHook('backbone.training'), 'backbone.training'),
                                        (RecomputationHook(['backbone.pos_embed']), 'backbone.pos_embed'),
                                        (RecomputationHook(['backbone.blocks']), 'backbone.blocks')])
def test_parts_that_are_not_there_are_refused(hook, name):
    known = 'those of backbone are .*layers' if '.' in name else 'its parts are backbone'
    with pytest.raises(InputError, match=f'ModuleDict has no part {name!r}; {known}'):
        two_models('vit', hook)


def test_models_within_a_test_time_augmentation_are_found():

    class Augmented(BaseTTAModel):

        def merge_preds(self, data_samples_list):
            return data_samples_list

    class Model(nn.Module):
        test_step = None

        def __init__(self) -> None:
            super().__init__()
            self.data_preprocessor = ImgDataPreprocessor()
            self.backbone = nn.Conv2d(3, 4, 1)

    model = Augmented(Model())
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    assert model.module.backbone._forward_pre_hooks


@pytest.mark.parametrize('blocks', ['backbone', [], None])
def test_blocks_are_a_list_of_names(blocks):
    with pytest.raises(InputError, match=f"blocks of RecomputationHook must be a list of names .* but is {blocks!r}"
                       .replace('[]', r'\[\]')):
        RecomputationHook(blocks)
