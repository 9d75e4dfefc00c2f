"""Recipes for classification on narrow encoders: weights arrive, frozen encoders stay as they are."""
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample

from mim_plugins.models.backbones import with_input_size
from mim_plugins.registry import MODELS
from mim_plugins.transfer.loading import Reading, load_reading

from ..test_classification_configs import CONFIGS, LEAVES, RECIPES, read

PLAIN = dict(embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=32)
SHIFTED = dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4])
PYRAMID = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2],
               sr_ratios=[8, 4, 2, 1])
NARROW = {
    'VisionTransformer': PLAIN, 'SinCosVisionTransformer': PLAIN, 'MFFVisionTransformer': PLAIN, 'ResizableBEiT': PLAIN,
    'ResizableSwin': SHIFTED, 'MixMIMTransformer': SHIFTED, 'PyramidVisionTransformer': PYRAMID,
    'ResizableSwinV2': {**SHIFTED, 'extra_norm_every_n_blocks': 6}, 'CMT': {**PYRAMID, 'stem_channels': 4},
    'ConvMAEEncoder': dict(embed_dims=[8, 8, 16], depths=[1, 1, 2], num_heads=2),
    'TwinsSVT': {**PYRAMID, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2]},
}
NEW = {'VisionTransformer': {'ln2.weight', 'ln2.bias'}, 'ResizableBEiT': {'ln2.weight', 'ln2.bias'},
       'PyramidVisionTransformer': {'cls_token', 'cls_pos_embed'}}


def narrow(backbone: dict) -> tuple[dict, int]:
    """The same kind of encoder with few channels, and how many."""
    kind = backbone['type'].removeprefix('mim_plugins.')
    if kind in ('TIMMEncoder', 'MixedTIMMEncoder'):
        if backbone['model_name'].startswith('resnetv2_'):  # three times as wide, in groups of 32
            return {**backbone, 'stem_chs': 32, 'channels': (128, 128, 128, 128)}, 384
        return {**backbone, 'model_name': 'pvt_v2_b0'}, 256
    arch = dict(NARROW[kind])
    if kind == 'TwinsSVT':
        stated = backbone['arch']
        arch['window_sizes'] = [7] * 4 if isinstance(stated, str) else stated['window_sizes']
    widths = arch['embed_dims']
    width = widths[-1] if isinstance(widths, list) else widths * (8 if 'depths' in arch else 1)
    return {**backbone, 'arch': arch}, width


@cache
def pre_trained(checkpoint: str) -> dict[str, torch.Tensor]:
    """Return random weights of the narrow encoder that leaves this checkpoint, made once: not to be changed."""
    source, = [leaf for leaf in LEAVES if Path(leaf).stem == Path(checkpoint).parent.name]
    model = Config.fromfile(CONFIGS / source).model
    backbone, _ = narrow(model.backbone)
    encoder = MODELS.build(with_input_size(backbone, (model.input_size, ) * 2, model.neck.stride))
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    return encoder.state_dict()


def narrow_classifier(cfg: Config) -> torch.nn.Module:
    cfg.model.backbone, width = narrow(cfg.model.backbone)
    cfg.model.head.in_channels = width
    for neck in cfg.model.neck if isinstance(cfg.model.neck, list) else [cfg.model.neck or {}]:
        if 'input_features' in neck:
            neck.input_features = width
    return MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})


@pytest.mark.parametrize('name', [name for name in RECIPES if '_few-shot_' not in name and 'in1k' in name])
def test_the_pre_training_covers_the_encoder(name):
    cfg = read(name)
    backbone, _ = narrow(cfg.model.backbone)
    weights = pre_trained(cfg.default_hooks.encoder.checkpoint)
    report = load_reading(MODELS.build(backbone), Reading(dict(weights)), name)
    kind = backbone['type'].removeprefix('mim_plugins.')
    pooled = backbone.get('out_type') == 'avg_featmap' or kind == 'PyramidVisionTransformer'
    assert set(report.new) == (NEW.get(kind, set()) if pooled else set())
    table = ('pos', 'relative_position_bias_table')
    assert all(any(part in resized for part in table) for resized in report.resized)


@pytest.mark.parametrize('name', [name for name in RECIPES if '_linear_' in name])
def test_a_frozen_encoder_neither_learns_nor_changes(name):
    model = narrow_classifier(read(name)).train()
    model.data_preprocessor.train()
    assert not any(module.training for module in model.backbone.modules())
    assert model.head.training and {parameter for parameter in model.parameters() if parameter.requires_grad} == {
        *model.head.parameters()}
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    samples = [DataSample().set_gt_label(number) for number in range(2)]
    sum(model(torch.randn(2, 3, 224, 224), samples, mode='loss').values()).backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())
    assert model.head.fc.weight.grad.abs().sum() > 0


def test_the_bias_of_a_linear_classifier_is_not_scaled_by_lars():
    cfg = read('mae/benchmarks/mae_vit-base_linear_8xb2048-amp-90e_in1k-224.py')
    settings = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'constructor', 'paramwise_cfg')}
    groups = build_optim_wrapper(narrow_classifier(cfg), settings).optimizer.param_groups
    assert {(group.get('lars_exclude', False), group['lr'], group['params'][0].ndim) for group in groups} == {
        (True, 6.4, 1), (False, 6.4, 2)}


def test_any_layer_can_be_probed_as_the_sweep_asks_for_it():
    cfg = read('simmim/benchmarks/simmim_vit-base_linear_8xb2048-amp-100e_in1k-224.py')
    images, found = torch.randn(1, 3, 224, 224), []
    for layer in (8, 11):
        cfg.merge_from_dict({'model.backbone.out_indices': layer})
        torch.manual_seed(0)
        encoder = MODELS.build(narrow(cfg.model.backbone)[0])
        encoder.eval()
        found += encoder(images)
    assert [features.shape for features in found] == [(1, 16)] * 2 and not torch.allclose(*found)
