"""TeacherTarget: features of a frozen network as target."""
import copy

import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import TeacherTarget
from mim_plugins.models.targets.frozen import frozen_network
from mim_plugins.ops import map_to_tokens, normalize_features, sin_cos_position_embedding
from mim_plugins.registry import MODELS

VIT = dict(type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw',
           arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32))
SWIN = dict(type='mim_plugins.ResizableSwin', img_size=64, window_size=2,
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]))
OPTIONS = dict(mean=[120.], std=[60.], random_weights=True)


def test_is_the_patch_features_of_the_whole_image():
    target, images = TeacherTarget(VIT, 16, cell=8, **OPTIONS), torch.randn(2, 3, 32, 48)
    features = target(images)
    assert features.shape == (2, 16, 4, 6) and not features.requires_grad
    raw = target.network(images)[0]
    torch.testing.assert_close(features.flatten(2).transpose(1, 2), raw[:, 1:])


def test_takes_maps_as_well():
    target, images = TeacherTarget(SWIN, 64, cell=32, **OPTIONS), torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(target(images), target.network(images)[-1])


def test_the_teacher_gets_its_own_normalisation():
    images, seen = torch.rand(1, 3, 32, 32) * 255, []
    target = TeacherTarget(VIT, 16, cell=8, **OPTIONS, teacher_mean=[100., 110., 120.], teacher_std=[50., 25., 10.])
    target.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    target((images - 120) / 60)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([100., 110., 120.], [50., 25., 10.]))
    torch.testing.assert_close(seen[0], (images - mean) / std, atol=1e-4, rtol=1e-4)


def test_is_frozen_and_no_part_of_the_model():
    target = TeacherTarget(VIT, 16, cell=8, **OPTIONS)
    target.train()
    assert not list(target.parameters()) and not target.state_dict() and not target.network.training
    assert not any(weight.requires_grad for weight in target.network.parameters())
    assert {weight.device.type for weight in target.to('meta').network.parameters()} == {'meta'}
    again = TeacherTarget(VIT, 16, cell=8, **OPTIONS)
    assert torch.equal(again.network.ln1.weight, TeacherTarget(VIT, 16, cell=8, **OPTIONS).network.ln1.weight)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: dict(state_dict=state)])
def test_weights_come_from_a_file(tmp_path, prefix, wrap):
    teacher = MODELS.build(VIT)
    weights = {f'{prefix}{name}': torch.randn_like(value) for name, value in teacher.state_dict().items()}
    torch.save(wrap({**weights, 'head.weight': torch.zeros(1)}), tmp_path / 'teacher.pth')
    options = {**OPTIONS, 'random_weights': False, 'checkpoint': tmp_path / 'teacher.pth'}
    target = TeacherTarget(VIT, 16, cell=8, **options)
    for name, value in target.network.state_dict().items():
        assert torch.equal(value, weights[prefix + name])
    smaller = {**VIT, 'arch': {**VIT['arch'], 'embed_dims': 8}}
    with pytest.raises(InputError, match='teacher.pth does not match the model'):
        TeacherTarget(smaller, 8, cell=8, **options)


@pytest.mark.parametrize('channels, cell, message', [
    (12, 8, r'said to give 12 channels on a grid of 4x4 \(cell=8\), but gave \[1, 17, 16\] with 1 extra tokens'),
    (16, 16, r'on a grid of 2x2 \(cell=16\), but gave \[1, 17, 16\]'),
])
def test_other_features_are_refused(channels, cell, message):
    with pytest.raises(InputError, match=message):
        TeacherTarget(VIT, channels, cell=cell, **OPTIONS)(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize('options', [dict(random_weights=False), dict(checkpoint='x.pth')])
def test_weights_are_asked_for(options):
    with pytest.raises(InputError, match='a teacher needs either a checkpoint, a local file with its weights, or'):
        TeacherTarget(VIT, 16, **{**OPTIONS, **options})


@pytest.mark.parametrize('region', ['masked', 'full'])
def test_a_student_learns_from_it_by_cosine(region):
    model = MODELS.build(dict(
        type='mim_plugins.MAE', input_size=32,
        data_preprocessor=dict(type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3,
                               mask=dict(unit=8, ratio=.75)),
        fill=dict(type='mim_plugins.TokenDropFill'), backbone={**VIT, 'type': 'mim_plugins.SinCosVisionTransformer'},
        target_generator=dict(type='mim_plugins.TeacherTarget', teacher=VIT, channels=16, cell=8, random_weights=True),
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=16, stride=8, num_extra_tokens=1, embed_dims=16, depth=1,
                  num_heads=2),
        head=dict(type='mim_plugins.ReconstructionHead', region=region, loss=dict(criterion='Cosine'))))
    model.init_weights()
    batch = model.data_preprocessor(
        dict(inputs=torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8), data_samples=[]), True)
    loss = model(**batch, mode='loss')['loss']
    loss.backward()
    result = model(**batch, mode='predict')
    cosine = torch.cosine_similarity(result['prediction'], result['target'])
    cells = cosine[batch['mask']] if region == 'masked' else cosine
    torch.testing.assert_close(loss, 1 - cells.mean())
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert not any('network' in name or 'teacher' in name for name in model.state_dict())


@pytest.mark.parametrize('norm', ['patch', 'channel'])
def test_normalises_its_features(norm):
    images = torch.randn(2, 3, 32, 32)
    plain = TeacherTarget(VIT, 16, cell=8, **OPTIONS)(images)
    torch.testing.assert_close(TeacherTarget(VIT, 16, cell=8, norm=norm, **OPTIONS)(images),
                               normalize_features(plain, norm))


DEEP = {**VIT, 'arch': {**VIT['arch'], 'num_layers': 3}}
TIMM = dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', img_size=32, patch_size=8, embed_dim=16,
            depth=3, num_heads=2)


@pytest.mark.parametrize('teacher, extra', [(DEEP, 1), (TIMM, 1)])
@pytest.mark.parametrize('layer', [0, 1, -1])
def test_a_layer_is_what_its_block_gives(teacher, extra, layer):
    target = TeacherTarget(teacher, 16, cell=8, layer=layer, **OPTIONS)
    model = getattr(target.network, 'timm_model', target.network)
    seen = []
    blocks = model.layers if hasattr(model, 'layers') else model.blocks
    handle = blocks[layer].register_forward_hook(lambda module, inputs, output: seen.append(output))
    features = target(torch.randn(2, 3, 32, 32))
    handle.remove()
    assert torch.equal(map_to_tokens(features), seen[0][:, extra:])
    assert target.describe()['layer'] == layer
    assert not list(target.children()) and not target.state_dict()  # init_weights would draw it anew


@pytest.mark.parametrize('teacher, layer, message', [
    (DEEP, 3, 'the teacher has 3 blocks to take features from, but layer is 3'),
    (SWIN, 0, 'the teacher has no sequence of blocks to take features from, but layer is 0'),
])
def test_layers_that_are_not_there(teacher, layer, message):
    with pytest.raises(InputError, match=message):
        TeacherTarget(teacher, 16, cell=8, layer=layer, **OPTIONS)


def test_patches_of_its_own_side():
    """A teacher with patches of 8 px on cells of 16: it sees the images at half the size."""
    seen = []
    target = TeacherTarget(VIT, 16, cell=16, teacher_patch=8, **OPTIONS)
    target.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.randn(1, 3, 64, 96)
    assert target(images).shape == (1, 16, 4, 6)
    expected = torch.nn.functional.interpolate(images, (32, 48), mode='bicubic', antialias=True)
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize('dtype, tolerance', [('bfloat16', 5e-2), ('float16', 5e-3)])
def test_low_precision(dtype, tolerance):
    images, seen = torch.randn(1, 3, 32, 32), []
    target = TeacherTarget(VIT, 16, cell=8, dtype=dtype, **OPTIONS)
    target.network.layers[0].ffn.layers[1].register_forward_hook(
        lambda module, inputs, output: seen.append(output.dtype))
    features = target(images)
    assert features.dtype == torch.float32 and seen == [getattr(torch, dtype)]
    torch.testing.assert_close(features, TeacherTarget(VIT, 16, cell=8, **OPTIONS)(images), atol=tolerance,
                               rtol=tolerance)


@pytest.mark.parametrize('options, message', [
    (dict(dtype='int8'), "dtype must be one of float32, bfloat16, float16, but is 'int8'"),
    (dict(norm='batch'), 'one of patch, channel, none'),
])
def test_unknown_options(options, message):
    with pytest.raises(InputError, match=message):
        TeacherTarget(VIT, 16, cell=8, **OPTIONS, **options)


class TestMiddleImages:
    """It looks at the middle images and gives the crops' part of their features."""

    def test_is_the_slice(self):
        target = TeacherTarget(VIT, 16, cell=8, **OPTIONS)
        middle, boxes = torch.randn(2, 3, 48, 40), torch.tensor([[1, 0, 5, 4], [2, 1, 6, 5]])
        crops = torch.stack([image[:, 8 * top:8 * bottom, 8 * left:8 * right]
                             for image, (top, left, bottom, right) in zip(middle, boxes.tolist(), strict=True)])
        whole = target(middle)
        expected = torch.stack([one[:, top:bottom, left:right] for one, (top, left, bottom, right) in zip(
            whole, boxes.tolist(), strict=True)])
        given = target(crops, middle=middle, grid_box=boxes)
        torch.testing.assert_close(given, expected)
        assert (given - target(crops)).abs().max() > .1

    def test_is_normalised_over_the_crop(self):
        target = TeacherTarget(VIT, 16, cell=8, norm='patch', **OPTIONS)
        given = target(torch.randn(1, 3, 16, 16), middle=torch.randn(1, 3, 32, 32),
                       grid_box=torch.tensor([[1, 1, 3, 3]]))
        torch.testing.assert_close(given.mean((2, 3)), torch.zeros(1, 16), atol=1e-5, rtol=0)

    def test_stored_features_are_for_another_target(self):
        with pytest.raises(InputError, match='needs nothing of the pipeline and may take grid_box, middle, but got'):
            TeacherTarget(VIT, 16, cell=8, **OPTIONS)(torch.zeros(1, 3, 32, 32), features=torch.zeros(1))


def timm_names(weights: dict) -> dict:
    """mmpretrain's ViT under the names of timm's."""
    renamed = {}
    for name, value in weights.items():
        name = name.replace('layers.', 'blocks.', 1) if name.startswith('layers.') else name
        for old, new in (('ffn.layers.0.0', 'mlp.fc1'), ('ffn.layers.1', 'mlp.fc2'), ('.ln', '.norm'),
                         ('patch_embed.projection', 'patch_embed.proj')):
            name = name.replace(old, new)
        renamed['norm' + name[3:] if name.startswith('ln1') else name] = value
    return renamed


@pytest.mark.parametrize('wrap', [
    lambda plain, timm: dict(model=timm),  # MAE
    lambda plain, timm: dict(model=timm | {'decoder_embed.weight': torch.zeros(1), 'mask_token': torch.zeros(1)}),
    lambda plain, timm: dict(teacher={f'module.backbone.{name}': value for name, value in timm.items()}, student={}),
    lambda plain, timm: timm | {'head.weight': torch.zeros(1)},  # DINO
    lambda plain, timm: dict(state_dict=timm),  # iBOT
    lambda plain, timm: dict(state_dict={f'module.base_encoder.{name}': value for name, value in timm.items()}
                             | {'module.predictor.0.weight': torch.zeros(1)}),  # MoCo v3
    lambda plain, timm: dict(state_dict={f'module.{name}': value for name, value in plain.items()}),
    lambda plain, timm: dict(state_dict={f'backbone.{name}': value for name, value in plain.items()}
                             | {'neck.mask_token': torch.zeros(1)}, meta={}),
])
def test_weights_under_the_names_they_are_released_with(tmp_path, wrap):
    plain = {name: torch.randn_like(value) for name, value in MODELS.build(VIT).state_dict().items()}
    torch.save(wrap(plain, timm_names(plain)), tmp_path / 'teacher.pth')
    loaded = frozen_network(VIT, tmp_path / 'teacher.pth', False, 'teacher').state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


@pytest.mark.parametrize('prefix', ['', 'timm_model.', 'backbone.'])
def test_weights_of_timm(tmp_path, prefix):
    plain = {name: torch.randn_like(value) for name, value in MODELS.build(TIMM).timm_model.state_dict().items()}
    torch.save({f'{prefix}{name}': value for name, value in plain.items()}, tmp_path / 'teacher.pth')
    loaded = frozen_network(TIMM, tmp_path / 'teacher.pth', False, 'teacher').timm_model.state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


@pytest.mark.parametrize('columns_first', [False, True])
def test_a_fixed_table_follows_the_size_and_the_order_of_its_channels(tmp_path, columns_first):
    """An encoder of this package, pre-trained at another size, as teacher of larger middle images."""
    config = {**VIT, 'type': 'mim_plugins.SinCosVisionTransformer'}
    stored = weights = MODELS.build(config).state_dict()
    weights['pos_embed'] = sin_cos_position_embedding((4, 4), 16, 1, columns_first)
    torch.save(dict(state_dict={f'backbone.{name}': value for name, value in weights.items()}), tmp_path / 'run.pth')
    options = {**OPTIONS, 'random_weights': False, 'checkpoint': tmp_path / 'run.pth'}
    target = TeacherTarget({**config, 'img_size': 48}, 16, cell=8, **options)
    for size in ((48, 48), (32, 64)):
        whole = MODELS.build({**config, 'img_size': size})
        whole.load_state_dict(copy.copy(stored))
        whole.eval()
        images = torch.randn(1, 3, *size)
        torch.testing.assert_close(map_to_tokens(target(images)), whole(images)[0][:, 1:])


def test_weights_of_an_encoder_with_buffers_of_its_own(tmp_path):
    """BEiT's, whose position bias follows the size."""
    config = dict(type='mim_plugins.ResizableBEiT', patch_size=8, img_size=32, out_type='raw', use_abs_pos_emb=False,
                  use_rel_pos_bias=False, use_shared_rel_pos_bias=True, layer_scale_init_value=.1, arch=VIT['arch'])
    plain = {name: torch.randn_like(value) if value.is_floating_point() else value
             for name, value in MODELS.build(config).state_dict().items()}
    torch.save(plain, tmp_path / 'teacher.pth')
    target = TeacherTarget(config, 16, cell=8, **{
        **OPTIONS, 'random_weights': False, 'checkpoint': tmp_path / 'teacher.pth'})
    loaded = target.network.state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)
    assert target(torch.randn(1, 3, 48, 40)).shape == (1, 16, 6, 5)


def test_middle_images_that_are_wanted():
    target = TeacherTarget(VIT, 16, cell=8, from_middle=True, **OPTIONS)
    with pytest.raises(InputError, match=r'needs grid_box, middle of the pipeline .*got nothing: .*keep_middle=True'):
        target(torch.zeros(1, 3, 32, 32))


def test_what_is_known_of_a_teacher():
    found = TeacherTarget(VIT, 16, cell=8, **OPTIONS).describe()
    assert found.pop('sha256') == TeacherTarget(VIT, 16, cell=8, **OPTIONS).describe()['sha256']
    assert found == dict(name='VisionTransformer', config=VIT, layer=None, patch=8, dtype='float32', mean=[120.],
                         std=[60.])
    assert TeacherTarget(TIMM, 16, cell=8, **OPTIONS).describe()['name'] == 'vit_tiny_patch16_224'


def test_two_sources_of_weights(tmp_path):
    with pytest.raises(InputError, match='checkpoint=None and random_weights=True, and pretrained=True'):
        TeacherTarget({**TIMM, 'pretrained': True}, 16, cell=8, **OPTIONS)
