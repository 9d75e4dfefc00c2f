"""Mixed convolutions: the two images of a mixed one stay apart, and one image alone is treated as ever."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import ResNet
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import TIMMEncoder
from mim_plugins.models.backbones.mixed_convolution import MixedResNet, MixedTIMMEncoder, _Windows
from mim_plugins.models.backbones.mixed_norms import MixedBatchNorm, MixedGroupNorm
from mim_plugins.models.backbones.place_groups import PlaceGroups
from mim_plugins.ops import resize_mask
from mim_plugins.registry import MODELS

TINY = dict(stem_channels=8, base_channels=8, out_indices=(0, 1, 2, 3))
GN = dict(type='GN', num_groups=4)
BIT = dict(model_name='resnetv2_50x1_bit', features_only=True, stem_chs=32, channels=(128, 128, 128, 128))
# Our class, its parent, and their arguments.
ENCODERS = {
    'resnet18 bn': (MixedResNet, ResNet, dict(TINY, depth=18)),
    'resnet18 gn': (MixedResNet, ResNet, dict(TINY, depth=18, norm_cfg=GN)),
    'resnet50 bn': (MixedResNet, ResNet, dict(TINY, depth=50, style='caffe')),
    'resnet50 gn deep': (MixedResNet, ResNet, dict(TINY, depth=50, norm_cfg=GN, deep_stem=True, avg_down=True)),
    'resnet18 checkpointed': (MixedResNet, ResNet, dict(TINY, depth=18, with_cp=True)),
    'bit': (MixedTIMMEncoder, TIMMEncoder, BIT),
    'timm resnetv2': (MixedTIMMEncoder, TIMMEncoder, dict(BIT, model_name='resnetv2_50')),
    'timm resnet': (MixedTIMMEncoder, TIMMEncoder, dict(model_name='resnet10t')),
}
GROUPS = torch.tensor([[[0, 1], [1, 0]], [[1, 1], [0, 1]], [[0, 0], [1, 0]]], dtype=torch.bool)


def randomize(module: nn.Module) -> nn.Module:
    """Double precision, norms that do something, and running statistics of their own."""
    with torch.no_grad():
        for name, value in module.double().state_dict().items():
            if name.endswith('running_var'):
                value.uniform_(.5, 2)
            elif value.is_floating_point() and value.ndim == 1:
                value.add_(torch.randn_like(value), alpha=.3).add_(.2)
    return module


def build(name: str, training: bool) -> tuple[nn.Module, nn.Module]:
    """Our encoder and its parent with the same weights."""
    ours, parent, options = ENCODERS[name]
    encoder, stock = randomize(ours(**copy.deepcopy(options))), parent(**copy.deepcopy(options)).double()
    stock.load_state_dict(encoder.state_dict())
    encoder.train(training)
    stock.train(training)
    return encoder, stock


def images(number: int = 3) -> torch.Tensor:
    return torch.randn(number, 3, 64, 64, dtype=torch.float64)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('name', ENCODERS)
def test_one_image_goes_as_through_the_parent(name, training):
    encoder, stock = build(name, training)
    inputs = images()
    nothing = torch.zeros_like(GROUPS)
    expected = stock(inputs)
    before = copy.deepcopy(encoder.state_dict())
    for groups in (None, nothing, ~nothing):
        encoder.load_state_dict(before)
        torch.testing.assert_close(encoder(inputs, groups), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(encoder.state_dict(), stock.state_dict(), rtol=0, atol=1e-6)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('name', ENCODERS)
def test_features_see_their_own_image_only(name, training):
    encoder, _ = build(name, training)
    for side in (GROUPS, ~GROUPS):
        inputs = images().requires_grad_()
        theirs = resize_mask(side, (64, 64)).unsqueeze(1)
        features = encoder(inputs, GROUPS)
        changed = encoder(inputs.detach().where(~theirs, 100 * torch.randn_like(inputs)), GROUPS)
        for one, other in zip(features, changed, strict=True):
            places = ~resize_mask(side, tuple(one.shape[-2:])).unsqueeze(1).expand_as(one)
            torch.testing.assert_close(one[places], other[places], rtol=0, atol=1e-6)
            assert not torch.allclose(one[~places], other[~places])
        sum((one * torch.randn_like(one) * ~resize_mask(side, tuple(one.shape[-2:])).unsqueeze(1)).sum()
            for one in features).backward()
        assert not (inputs.grad * theirs).any()
        assert (inputs.grad * ~theirs).any()


def test_groups_are_gone_with_the_next_call():
    encoder, stock = build('resnet18 gn', True)
    inputs = images()
    encoder(inputs, GROUPS)
    for one, other in zip(encoder(inputs), stock(inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_without_groups_images_do_mix():
    """What the leak test above looks at does change in a stock encoder."""
    encoder, _ = build('resnet18 gn', True)
    inputs = images()
    theirs = resize_mask(GROUPS, (64, 64)).unsqueeze(1)
    changed = inputs.where(~theirs, torch.randn_like(inputs))
    for one, other in zip(encoder(inputs), encoder(changed), strict=True):
        places = ~resize_mask(GROUPS, tuple(one.shape[-2:])).unsqueeze(1).expand_as(one)
        assert (one[places] - other[places]).abs().max() > .01


def hooked(module: nn.Module, groups: torch.Tensor, border: int = 0) -> nn.Module:
    _Windows(PlaceGroups(groups), module, border)
    return module


def windows_by_place(maps, groups, out_groups, kernel, stride, padding):
    """Image, row, column, and of their window the places (rows, columns) that are of their group and all that are."""
    for image, row, column in torch.cartesian_prod(*(torch.arange(side) for side in out_groups.shape)).tolist():
        inside = [(y, x) for y in range(row * stride - padding, row * stride - padding + kernel)
                  for x in range(column * stride - padding, column * stride - padding + kernel)
                  if 0 <= y < maps.shape[2] and 0 <= x < maps.shape[3]]
        own = [(y, x) for y, x in inside if groups[image, y, x] == out_groups[image, row, column]]
        yield image, row, column, own, inside


@pytest.mark.parametrize(('kernel', 'stride', 'bias'), [(3, 1, True), (3, 2, False), (7, 2, True)])
def test_mixed_convolution_is_a_partial_one_for_each_group(kernel, stride, bias):
    conv = nn.Conv2d(2, 3, kernel, stride, kernel // 2, bias=bias).double()
    maps, groups = torch.randn(3, 2, 8, 8, dtype=torch.float64), resize_mask(GROUPS, (8, 8))
    out_groups = resize_mask(GROUPS, (8 // stride, 8 // stride))
    expected = torch.zeros(3, 3, *out_groups.shape[1:], dtype=torch.float64)
    for image, row, column, own, inside in windows_by_place(maps, groups, out_groups, kernel, stride, kernel // 2):
        top, left = row * stride - kernel // 2, column * stride - kernel // 2
        value = sum(conv.weight[:, :, y - top, x - left] @ maps[image, :, y, x] for y, x in own)
        expected[image, :, row, column] = value * len(inside) / len(own) + (conv.bias if bias else 0)
    torch.testing.assert_close(hooked(conv, GROUPS)(maps), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('include', [True, False])
def test_mixed_average_pool_is_a_partial_one_for_each_group(include):
    maps, groups = torch.randn(3, 2, 8, 8, dtype=torch.float64), resize_mask(GROUPS, (8, 8))
    expected = torch.zeros(3, 2, 4, 4, dtype=torch.float64)
    for image, row, column, own, inside in windows_by_place(maps, groups, resize_mask(GROUPS, (4, 4)), 3, 2, 1):
        mean = sum(maps[image, :, y, x] for y, x in own) / len(own)
        expected[image, :, row, column] = mean * (len(inside) / 9 if include else 1)
    pool = hooked(nn.AvgPool2d(3, 2, 1, count_include_pad=include), GROUPS)
    torch.testing.assert_close(pool(maps), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('border', [0, 1])
def test_mixed_max_pool_sees_its_group_and_zeros_around(border):
    maps, groups = torch.randn(3, 2, 8, 8) - 1, resize_mask(GROUPS, (8, 8))
    expected = torch.zeros(3, 2, 4, 4)
    for image, row, column, own, inside in windows_by_place(maps, groups, resize_mask(GROUPS, (4, 4)), 3, 2, 1):
        value = torch.stack([maps[image, :, y, x] for y, x in own]).amax(0)
        expected[image, :, row, column] = value.clamp(min=0) if border and len(inside) < 9 else value
    pool = hooked(nn.MaxPool2d(3, 2, 1 - border), GROUPS, border)
    torch.testing.assert_close(pool(F.pad(maps, (border, ) * 4)), expected, rtol=0, atol=0)


def test_group_norm_has_statistics_of_each_sample_and_group():
    norm = MixedGroupNorm(2, 6).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    groups = GROUPS.clone()
    groups[0] = False  # no place of the partner
    norm.places = PlaceGroups(groups)
    maps, partner = 5 + torch.randn(3, 6, 4, 4, dtype=torch.float64), resize_mask(groups, (4, 4))
    expected = torch.zeros_like(maps)
    for image in range(3):
        for side in (partner[image], ~partner[image]):
            for channels in (slice(0, 3), slice(3, 6)):
                values = maps[image, channels][:, side]
                if values.numel():
                    normal = (values - values.mean()) / (values.var(unbiased=False) + norm.eps).sqrt()
                    expected[image, channels, side] = (
                        normal * norm.weight[channels, None] + norm.bias[channels, None])
    torch.testing.assert_close(norm(maps), expected)


@pytest.mark.parametrize('momentum', [.1, None])
def test_batch_norm_has_statistics_of_each_group_and_tracks_their_mean(momentum):
    norm = MixedBatchNorm(2, momentum=momentum).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.places = PlaceGroups(GROUPS)
    maps, partner = 5 + torch.randn(3, 2, 4, 4, dtype=torch.float64), resize_mask(GROUPS, (4, 4))
    means, variances = torch.zeros(2, 2, 2, dtype=torch.float64)
    expected = torch.zeros_like(maps)
    for number, side in enumerate((partner, ~partner)):
        for channel in range(2):
            values = maps[:, channel][side]
            means[number, channel], variances[number, channel] = values.mean(), values.var()
            normal = (values - values.mean()) / (values.var(unbiased=False) + norm.eps).sqrt()
            expected[:, channel][side] = normal * norm.weight[channel] + norm.bias[channel]
    torch.testing.assert_close(norm(maps), expected)
    step = momentum or 1
    torch.testing.assert_close(norm.running_mean, step * means.mean(0))
    torch.testing.assert_close(norm.running_var, 1 - step + step * variances.mean(0))
    assert norm.num_batches_tracked == 1
    norm.eval()
    before = copy.deepcopy(norm.state_dict())
    torch.testing.assert_close(norm(maps), F.batch_norm(
        maps, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps))
    torch.testing.assert_close(norm.state_dict(), before)


def test_half_precision_stays_half_and_finite():
    encoder = MixedResNet(depth=18, **TINY)
    with torch.autocast('cpu', torch.bfloat16):
        features = encoder(images().float(), GROUPS)
    sum(one.float().square().mean() for one in features).backward()
    assert all(one.isfinite().all() for one in features)
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize('name', ENCODERS)
def test_state_is_the_parents_and_every_parameter_learns(name):
    encoder, stock = build(name, True)
    assert [(key, value.shape) for key, value in encoder.state_dict().items()] == [
        (key, value.shape) for key, value in stock.state_dict().items()]
    sum((one * torch.randn_like(one)).sum() for one in encoder(images(), GROUPS)).backward()
    without = [key for key, value in encoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert not without
    assert all(value.isfinite().all() for value in encoder.state_dict().values())


def test_initialisation_by_layer_reaches_the_norms():
    """mmengine finds layers by the names of their classes and direct bases."""
    for norm_cfg in (dict(type='BN'), GN):
        encoder = MixedResNet(depth=18, norm_cfg=norm_cfg, zero_init_residual=False, init_cfg=dict(
            type='Constant', val=3, layer=['_BatchNorm', 'GroupNorm']), **TINY)
        encoder.init_weights()
        assert (encoder.layer1[0].norm1.weight == 3).all()


def test_a_copy_has_groups_of_its_own():
    encoder, _ = build('resnet18 gn', True)
    inputs = images()
    expected = encoder(inputs, GROUPS)[-1]
    other = copy.deepcopy(encoder)
    encoder(inputs)
    torch.testing.assert_close(other(inputs, GROUPS)[-1], expected)
    assert other.layer1[0].norm1.places is other.norm1.places is not encoder.norm1.places


def test_checkpointing_gives_the_same_gradients():
    encoder, _ = build('resnet18 checkpointed', True)
    plain = MixedResNet(depth=18, **TINY).double()
    plain.train()
    plain.load_state_dict(encoder.state_dict())
    inputs = images()
    for model in (encoder, plain):
        model(inputs, GROUPS)[-1].square().sum().backward()
    for one, other in zip(encoder.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize(('name', 'options', 'stride'), [
    ('MixedResNet', dict(TINY, depth=18), 32),
    ('MixedResNet', dict(depth=18, strides=(1, 2, 2, 1)), 16),
    ('MixedTIMMEncoder', BIT, 32),
    ('MixedTIMMEncoder', dict(model_name='resnet18'), 32)])
def test_smallest_unit(name, options, stride):
    encoder = MODELS.build(dict(type=f'mim_plugins.{name}', **options))
    assert encoder.group_stride == stride
    assert encoder.mixes_convolutions


@pytest.mark.parametrize(('cls', 'options', 'message'), [
    (MixedResNet, dict(depth=18, norm_cfg=dict(type='SyncBN')), r'but bn1 is a SyncBatchNorm'),
    (MixedResNet, dict(depth=18, norm_cfg=dict(type='IN')), r'but in1 is a InstanceNorm2d'),
    (MixedResNet, dict(depth=18, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
     r'without dilation.*layer4.0.conv1 is Conv2d\(.*dilation=\(2, 2\)'),
    (MixedTIMMEncoder, dict(model_name='seresnet50'), r'timm_model.layer1.0.se is a SEModule'),
    (MixedTIMMEncoder, dict(model_name='resnetblur50'), r'is a BlurPool2d'),
    (MixedTIMMEncoder, dict(model_name='resnet18', output_stride=16), r'without dilation'),
    (MixedTIMMEncoder, dict(model_name='resnetv2_50', stem_type='same'), r'stem.pool is a MaxPool2dSame'),
    (MixedTIMMEncoder, dict(model_name='vit_tiny_patch16_224'), r'timm_model is a VisionTransformer')])
def test_what_would_join_the_images_is_refused(cls, options, message):
    with pytest.raises(InputError, match=message):
        cls(**options)


class _Altered(MixedResNet):
    """With another pool in its stem."""
    pool: nn.Module

    def _make_stem_layer(self, *args):
        super()._make_stem_layer(*args)
        self.maxpool = self.pool


@pytest.mark.parametrize(('pool', 'message'), [
    (nn.AdaptiveAvgPool2d(8), 'maxpool is a AdaptiveAvgPool2d'),
    (nn.ConvTranspose2d(8, 8, 2, 2), 'maxpool is a ConvTranspose2d'),
    (nn.MaxPool2d(3, 2), r'padded alike.*maxpool is MaxPool2d\('),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), 'padded alike'),
    (nn.Conv2d(8, 8, 3, padding='same'), 'padded alike'),
    (nn.Conv2d(8, 8, 3, padding=1, padding_mode='reflect'), 'with zeros'),
    (nn.Conv2d(8, 8, 3, padding=(1, 0)), 'padded alike'),
    (nn.Sequential(nn.ConstantPad2d(1, 0.), nn.MaxPool2d(2)), 'padded alike'),
    (nn.Sequential(nn.ConstantPad2d((0, 1, 0, 1), 0.), nn.MaxPool2d(2)), 'maxpool.0 is a ConstantPad2d'),
    (nn.Sequential(nn.ConstantPad2d(1, 1.), nn.MaxPool2d(3, 2)), 'maxpool.0 is a ConstantPad2d'),
    (nn.Sequential(nn.ConstantPad2d(1, 0.), nn.AvgPool2d(3, 2)), 'front of a MaxPool2d, but maxpool.1 is a AvgPool')])
def test_pools_and_convolutions_that_lose_line_are_refused(pool, message, monkeypatch):
    monkeypatch.setattr(_Altered, 'pool', pool, raising=False)
    with pytest.raises(InputError, match=message):
        _Altered(depth=18, **TINY)


@pytest.mark.parametrize('size', [(64, 80), (32, 32), (65, 64)])
def test_units_that_do_not_fit_are_refused(size):
    encoder = MixedResNet(depth=18, **TINY)
    with pytest.raises(InputError, match='groups of 2x2 units in images of .* are no units of a multiple of 32 px'):
        encoder(torch.zeros(3, 3, *size), GROUPS)


def test_conversion_to_sync_batch_norm_is_noticed():
    encoder = nn.SyncBatchNorm.convert_sync_batchnorm(MixedResNet(depth=18, **TINY))
    with pytest.raises(InputError, match='it became SyncBatchNorm'):
        encoder(images().float(), GROUPS)


@pytest.mark.parametrize(('name', 'parameters'), [
    ('resnetv2_50x3_bit', 211_174_080), ('resnetv2_101x3_bit', 381_789_888)])
def test_sizes_of_the_papers_encoders(name, parameters):
    with torch.device('meta'):
        encoder = MixedTIMMEncoder(name)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder.group_stride == 32
