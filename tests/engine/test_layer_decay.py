"""Groups of parameters for layer-wise learning rates, encoder by encoder on narrow models."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mim_plugins.engine.optim import LayerDecayOptimWrapperConstructor
from mim_plugins.engine.optim.layer_decay import layers_of
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

VIT = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)
SWIN = dict(embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2])
STAGES = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2],
              sr_ratios=[8, 4, 2, 1])
TWINS = {**STAGES, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2], 'window_sizes': [2, 2, 2, 2]}
ENCODERS = {
    'vit': dict(type='VisionTransformer', arch=VIT, img_size=32, patch_size=8),
    'beit': dict(type='mim_plugins.ResizableBEiT', arch=VIT, img_size=32, patch_size=8, use_rel_pos_bias=True,
                 layer_scale_init_value=.1),
    'swin': dict(type='mim_plugins.ResizableSwin', arch=SWIN, img_size=64, window_stride=32),
    'swinv2': dict(type='mim_plugins.ResizableSwinV2', arch={**SWIN, 'extra_norm_every_n_blocks': 1}, img_size=64,
                   window_stride=32),
    'mixmim': dict(type='mim_plugins.MixMIMTransformer', arch=SWIN, img_size=64),
    'convmae': dict(type='mim_plugins.ConvMAEEncoder', arch=dict(embed_dims=[8, 8, 16], depths=[1, 1, 2], num_heads=2),
                    img_size=32, multi_scale_fusion=False),
    'mff': dict(type='mim_plugins.MFFVisionTransformer', arch=VIT, img_size=32, patch_size=8, fused_layers=[0, 1]),
    'pvt': dict(type='mim_plugins.PyramidVisionTransformer', arch=STAGES, img_size=64),
    'cmt': dict(type='mim_plugins.CMT', arch={**STAGES, 'stem_channels': 4}, img_size=64),
    'twins': dict(type='mim_plugins.TwinsSVT', arch=TWINS, norm_after_stage=[False, False, False, True]),
    'dense': dict(type='mim_plugins.DenseVisionTransformer', arch=VIT, img_size=32, input_size=64, patch_size=8,
                  out_indices=[1], window_size=2, global_blocks=[1], relative_position='decomposed'),
    'timm-vit': dict(type='mim_plugins.TIMMEncoder', model_name='test_vit'),
    'timm-pvt': dict(type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b0'),
    'timm-convnext': dict(type='mim_plugins.TIMMEncoder', model_name='test_convnext'),
}
# Layer of one tensor of each kind.
LAYERS = {
    'vit': dict.fromkeys(['cls_token', 'pos_embed', 'patch_embed.projection.bias'], 0) | {
        'layers.0.attn.qkv.weight': 1, 'layers.1.ln1.weight': 2, 'ln1.bias': 3},
    'beit': {'cls_token': 0, 'layers.0.gamma_1': 1, 'layers.1.attn.relative_position_bias_table': 2, 'ln2.weight': 3},
    'swin': {'patch_embed.norm.weight': 0, 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table': 1,
             'stages.0.downsample.reduction.weight': 1, 'stages.2.blocks.1.ffn.layers.1.weight': 4,
             'stages.2.downsample.norm.weight': 4, 'norm3.weight': 6},
    'swinv2': {'patch_embed.projection.weight': 0, 'stages.0.blocks.0.attn.w_msa.logit_scale': 1,
               'stages.1.downsample.reduction.weight': 1, 'stages.3.downsample.norm.weight': 4,
               'stages.3.blocks.0.attn.w_msa.cpb_mlp.2.weight': 5, 'stages.2.blocks.1.norm3.weight': 4,
               'norm3.weight': 6},
    'mixmim': {'patch_embed.projection.weight': 0, 'layers.0.blocks.0.attn.relative_position_bias_table': 1,
               'layers.0.downsample.reduction.weight': 1, 'layers.3.blocks.0.ffn.layers.1.weight': 5, 'norm.weight': 5},
    'convmae': {'patch_embed1.proj.weight': 0, 'blocks2.0.attn.weight': 0, 'patch_embed4.weight': 0,
                'blocks3.1.attn.qkv.weight': 2, 'norm.bias': 3},
    'mff': {'cls_token': 0, 'layers.1.attn.qkv.weight': 2, 'proj_layers.0.weight': 3, 'proj_weights': 3},
    'pvt': {'patch_embeds.0.projection.weight': 0, 'pos_embeds.0': 0, 'stages.0.0.attn.sr.weight': 1, 'pos_embeds.2': 2,
            'stages.3.0.norm1.weight': 5, 'norm.weight': 6},
    'cmt': {'stem.0.weight': 0, 'position_biases.0': 0, 'position_biases.3': 4, 'stages.2.1.local.weight': 4},
    'twins': {'patch_embeds.0.projection.weight': 0, 'stages.0.0.attn.qkv.weight': 1,
              'patch_embeds.3.norm.weight': 4, 'norm_after_stage3.weight': 6},
    'dense': {'pos_embed': 0, 'layers.0.attn.positions.rel_pos_h': 1, 'layers.1.attn.positions.rel_pos_w': 2},
    'timm-vit': {'timm_model.cls_token': 0, 'timm_model.pos_embed': 0, 'timm_model.blocks.5.attn.qkv.weight': 6,
                 'timm_model.norm.weight': 7},
    'timm-pvt': {'timm_model.patch_embed.proj.weight': 0, 'timm_model.stages.0.blocks.1.attn.q.weight': 2,
                 'timm_model.stages.0.norm.weight': 2, 'timm_model.stages.1.downsample.proj.weight': 2,
                 'timm_model.stages.1.blocks.0.mlp.dwconv.weight': 3, 'timm_model.stages.3.downsample.proj.weight': 6,
                 'timm_model.stages.3.blocks.1.attn.kv.weight': 8, 'timm_model.stages.3.norm.weight': 9},
    'timm-convnext': {'timm_model.stem.1.weight': 0, 'timm_model.stages.1.downsample.0.weight': 1,
                      'timm_model.head.norm.weight': 10},
}


class Holder(nn.Module):
    """What classifiers, detectors and segmenters have in common."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, nn.Linear(4, 4), nn.Linear(4, 2)


def grouped(model: nn.Module, **options) -> tuple[list[dict], dict[str, dict]]:
    """Groups of AdamW at learning rate 1 and decay .1, and the group of each parameter by name."""
    constructor = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=1., weight_decay=.1)), options)
    groups = constructor(model).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return groups, {names[id(parameter)]: group for group in groups for parameter in group['params']}


@pytest.mark.parametrize('family', ENCODERS)
def test_groups_of_each_family(family):
    model = Holder(MODELS.build(ENCODERS[family]))
    groups, found = grouped(model, layer_decay_rate=.5)
    last = max(group['layer_id'] for group in groups)
    assert set(found) == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name: found[f'backbone.{name}']['layer_id'] for name in LAYERS[family]} == LAYERS[family]
    assert all(group['lr'] == group['lr_scale'] == .5**(last - group['layer_id']) for group in groups)
    assert {found[name]['layer_id'] for name in found if not name.startswith('backbone.')} == {last}
    assert {group['layer_id'] for group in groups} == set(range(last + 1))
    assert len(groups) <= 2 * (last + 1)
    free = {name for name, group in found.items() if group['weight_decay'] == 0}
    named = ('token', 'pos_embed', 'position_bias', 'relative_position_bias_table', 'cpb_mlp', 'logit_scale',
             'rel_pos')
    assert free == {name for name, parameter in model.named_parameters()
                    if name in found and (parameter.ndim == 1 or any(part in name for part in named))}
    assert {group['weight_decay'] for group in groups} == {0, .1}


def test_the_first_and_the_last_layer_of_a_vit():
    groups, _ = grouped(Holder(MODELS.build(ENCODERS['vit'])), layer_decay_rate=.5)
    assert [(group['layer_id'], group['lr'], group['weight_decay'], len(group['params'])) for group in groups] == [
        (0, .125, 0, 3), (0, .125, .1, 1), (1, .25, 0, 8), (1, .25, .1, 4), (2, .5, 0, 8), (2, .5, .1, 4),
        (3, 1, 0, 4), (3, 1, .1, 2)]


def test_options_say_otherwise():
    model = Holder(MODELS.build(ENCODERS['vit']))
    _, found = grouped(model, layer_decay_rate=.5, norm_decay_mult=1., custom_keys={
        'pos_embed': dict(decay_mult=1.), 'bbox_head': dict(lr_mult=10.)})
    assert found['backbone.pos_embed']['weight_decay'] == found['backbone.ln1.weight']['weight_decay'] == .1
    assert found['backbone.cls_token']['weight_decay'] == 0
    assert found['bbox_head.weight']['lr'] == found['bbox_head.weight']['lr_scale'] == 10
    assert found['neck.weight']['lr'] == 1


def test_shared_and_frozen_parameters():
    model = Holder(MODELS.build(ENCODERS['vit']))
    model.second = model.bbox_head
    model.backbone.layers[0].requires_grad_(False)
    groups, found = grouped(model, layer_decay_rate=.5)
    assert sum(len(group['params']) for group in groups) == len(found)
    assert not any(name.startswith('backbone.layers.0.') for name in found)


def test_a_parameter_in_two_modules_has_one_group():
    model = Holder(MODELS.build(ENCODERS['vit']))
    model.bbox_head.weight = model.backbone.layers[0].attn.qkv.weight
    groups, found = grouped(model, layer_decay_rate=.5)
    numbers = [id(parameter) for group in groups for parameter in group['params']]
    assert len(numbers) == len(set(numbers)) == len(found) == len(list(model.parameters()))
    assert found['backbone.layers.0.attn.qkv.weight']['layer_id'] == 1


def test_a_step_moves_the_last_layer_most():
    model = Holder(MODELS.build(ENCODERS['vit']))
    wrapper = build_optim_wrapper(model, dict(
        optimizer=dict(type='SGD', lr=1., weight_decay=0.), constructor='mim_plugins.LayerDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=.5)))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    moved = {name: (before[name] - parameter).abs().mean().item() for name, parameter in model.named_parameters()}
    assert moved['neck.weight'] == pytest.approx(1) and moved['backbone.pos_embed'] == pytest.approx(.125)
    assert wrapper.get_lr()['base_lr'] == [1.]


@pytest.mark.parametrize('options, optimizer, sentence', [
    (dict(layer_decay=.5), dict(weight_decay=.1), 'unknown keys in paramwise_cfg: layer_decay; it takes bias_decay'),
    (dict(layer_decay_rate=.5), {}, 'need an optimizer with weight_decay, 0 for none'),
])
def test_refuses_options(options, optimizer, sentence):
    with pytest.raises(InputError, match=sentence):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='AdamW', lr=1., **optimizer)), options)


def test_refuses_models_without_layers():
    with pytest.raises(InputError, match='need a model with a backbone, but Linear has none'):
        layers_of(nn.Linear(2, 2))
    with pytest.raises(InputError, match='need an encoder with get_layer_depth, but Linear has none'):
        layers_of(Holder(nn.Linear(2, 2)))
