"""TeacherTarget: features of a frozen network as target."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import TeacherTarget
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
