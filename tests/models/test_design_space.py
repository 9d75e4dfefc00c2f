"""SimMIM and FastMIM: any mask, fill, encoder, decoder, target and loss together."""
import itertools

import pytest
import torch
from mmengine.structures import BaseDataElement

from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

WIDTHS = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4], sr_ratios=[8, 4, 2, 1],
              mlp_ratios=[1, 1, 1, 1])
VIT = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=32)
SWIN = dict(embed_dims=4, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])

# Each with the stride of its last features, its extra tokens, and the patches it embeds (None: they overlap).
ENCODERS = {
    'vit': (dict(type='mim_plugins.SinCosVisionTransformer', patch_size=16, out_type='raw', arch=VIT), 16, 1, 16),
    'beit': (dict(type='mim_plugins.ResizableBEiT', patch_size=16, out_type='raw', arch=VIT, use_rel_pos_bias=False,
                  use_shared_rel_pos_bias=True), 16, 1, 16),
    'swin': (dict(type='mim_plugins.ResizableSwin', window_stride=32, drop_path_rate=0., arch=SWIN), 32, 0, 4),
    'swinv2': (dict(type='mim_plugins.ResizableSwinV2', window_stride=32, drop_path_rate=0.,
                    arch={**SWIN, 'extra_norm_every_n_blocks': 0}), 32, 0, 4),
    'twins': (dict(type='mim_plugins.TwinsSVT', out_indices=(3, ), norm_after_stage=[False, False, False, True],
                   arch={**WIDTHS, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2],
                         'window_sizes': [2, 2, 2, 2]}), 32, 0, None),
    'pvt': (dict(type='mim_plugins.PyramidVisionTransformer', arch=WIDTHS), 32, 0, None),
    'cmt': (dict(type='mim_plugins.CMT', arch={**WIDTHS, 'stem_channels': 8}), 32, 0, None),
    'timm pvtv2': (dict(type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b0', embed_dims=(8, 16, 24, 32),
                        depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4)), 32, 0, None),
    'timm vit': (dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', embed_dim=32, depth=1,
                      num_heads=2), 16, 1, 16),
}
FILLS = {
    'image': dict(type='mim_plugins.ImageTokenFill'),
    'zero': dict(type='mim_plugins.ImageTokenFill', learnable=False),
    'patch': dict(type='mim_plugins.PatchTokenFill'),
    'drop': dict(type='mim_plugins.TokenDropFill'),
}
DECODERS = {
    'transformer': dict(type='mim_plugins.TransformerDecoder', embed_dims=32, depth=1),
    'transformer with positions': dict(
        type='mim_plugins.TransformerDecoder', embed_dims=32, depth=1, with_position_embedding=True),
    'linear': dict(type='mim_plugins.LinearDecoder'),
    'mlp': dict(type='mim_plugins.MLPDecoder'),
    'inverse swin': dict(type='mim_plugins.InverseSwinDecoder', arch=SWIN),
}
MAE_DECODER = {'mae': dict(type='mim_plugins.MAEDecoder', embed_dims=32, depth=1)}
# With the loss that goes with it.
TARGETS = {
    'hog': (dict(type='mim_plugins.HOGTarget'), 'L2'),
    'pixels': (dict(type='mim_plugins.PixelTarget'), 'L1'),
    'patches': (dict(type='mim_plugins.PixelTarget', norm_patch=16), 'L2'),
    'small pixels': (dict(type='mim_plugins.PixelTarget', downsample=4), 'SmoothL1'),
    'clusters': (dict(type='mim_plugins.ColorClusterTarget', downsample=4,
                      centers=[[0, 0, 0], [255, 255, 255], [255, 0, 0]]), 'CrossEntropy'),
    'low pass': (dict(type='mim_plugins.LowPassTarget', radius=10, target=dict(norm_patch=16)), 'L2'),
    'low pass HOG': (dict(type='mim_plugins.LowPassTarget', radius=10,
                          target=dict(type='mim_plugins.HOGTarget')), 'L2'),
    'adaptive low pass': (dict(type='mim_plugins.LowPassTarget', radius=(5, 20)), 'L2'),
    'bins': (dict(type='mim_plugins.ColorBinTarget', bins=8, downsample=8), 'CrossEntropy'),
}
MASKS = {
    'random': dict(type='mim_plugins.RandomMasks', unit=16, ratio=.6, rounding='ceil_masked'),
    'shared': dict(type='mim_plugins.RandomMasks', unit=32, ratio=.5, shared=True),
    'block': dict(type='mim_plugins.BlockMasks', unit=16, ratio=.5),
    'square': dict(type='mim_plugins.SquareMasks', unit=16, ratio=.5),
}
SIZE = (64, 96)


def config(encoder='vit', fill='image', decoder='linear', target='pixels', mask='random', region='masked',
           size=SIZE, algorithm='SimMIM') -> dict:
    backbone, stride, extra, _ = ENCODERS[encoder]
    target, criterion = TARGETS[target]
    return dict(
        type=f'mim_plugins.{algorithm}', input_size=size,
        data_preprocessor=dict(type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3,
                               mask=MASKS[mask]),
        fill=FILLS[fill], target_generator=target, backbone=backbone,
        neck=dict(in_channels=32, stride=stride, num_extra_tokens=extra, **(DECODERS | MAE_DECODER)[decoder]),
        head=dict(type='mim_plugins.ReconstructionHead', region=region, loss=dict(criterion=criterion)))


def build(**choice) -> torch.nn.Module:
    model = MODELS.build(config(**choice))
    model.init_weights()
    return model


def batch(model: torch.nn.Module, size=SIZE, channels: int = 3) -> dict:
    data = dict(inputs=torch.randint(256, (2, channels, *size), dtype=torch.uint8),
                data_samples=[BaseDataElement() for _ in range(2)])
    return model.data_preprocessor(data, True)


def trains(model: torch.nn.Module, **data) -> None:
    """The loss is finite and every parameter gets a gradient."""
    loss = model(**data, mode='loss')['loss']
    assert loss.isfinite() and loss.dtype == torch.float32
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize('encoder', ENCODERS)
@pytest.mark.parametrize('fill', FILLS)
def test_encoders_and_fills(encoder, fill):
    refused = (fill == 'patch' and ENCODERS[encoder][3] is None) or (fill == 'drop' and 'vit' not in encoder)
    if refused:
        with pytest.raises(InputError, match='(PatchTokenFill|TokenDropFill) needs'):
            build(encoder=encoder, fill=fill)
        return
    decoder = 'mae' if fill == 'drop' else 'transformer'
    model = build(encoder=encoder, fill=fill, decoder=decoder, target='hog', algorithm='FastMIM')
    trains(model, **batch(model))
    model.eval()  # batch statistics would let samples see each other, but never the masked pixels
    data = batch(model)
    pixels = data['mask'].repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    noise = torch.where(pixels, torch.randn_like(data['inputs']), data['inputs'])
    first, second = (model.predict(images, data['mask']) for images in (data['inputs'], noise))
    assert torch.equal(first, second)
    assert not torch.allclose(model.predict(data['inputs'], ~data['mask']), first)


# A decoder depends on a target only through its channels and stride. So every decoder meets, on both kinds of grid, a
# target of many channels and one of single pixels; and every target meets one decoder of each grid.
FITTED = sorted({*itertools.product(['vit', 'swin'], DECODERS, ['hog', 'pixels']),
                 *itertools.product(['vit'], ['transformer'], TARGETS),
                 *itertools.product(['swin'], ['inverse swin'], TARGETS)})


@pytest.mark.parametrize('encoder, decoder, target', FITTED)
def test_decoders_and_targets(encoder, decoder, target):
    model = build(encoder=encoder, decoder=decoder, target=target, fill='patch')
    data = batch(model)
    trains(model, **data)
    result = model(**data, mode='predict')
    assert result['prediction'].shape[1] == model.target_generator.channels
    assert result['prediction'].shape[2:] == result['target'].shape[2:]


@pytest.mark.parametrize('mask, region', itertools.product(MASKS, ['masked', 'full']))
def test_masks_and_regions(mask, region):
    model = build(mask=mask, region=region, target='small pixels')
    data = batch(model)
    trains(model, **data)
    result = model(**data, mode='predict')
    error = torch.nn.functional.smooth_l1_loss(result['prediction'], result['target'], reduction='none').mean(1)
    seen = torch.ones_like(error, dtype=torch.bool)
    if region == 'masked':
        factor = model.data_preprocessor.mask_strategy.unit // 4
        seen = data['mask'].repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    torch.testing.assert_close(model(**data, mode='loss')['loss'], error[seen].mean())


@pytest.mark.parametrize('encoder', ENCODERS)
@pytest.mark.parametrize('channels', [1, 4, 8])
def test_other_numbers_of_channels(encoder, channels):
    for target in ('pixels', 'hog'):
        options = config(encoder=encoder, decoder='linear', target=target)
        options['data_preprocessor'].update(mean=[120.] * channels, std=[60.] * channels)
        options['target_generator'] = {**options['target_generator'], 'in_channels': channels}
        options['fill'] = dict(type='mim_plugins.ImageTokenFill', channels=channels)
        options['backbone'] = {**options['backbone'], 'in_channels': channels}
        model = MODELS.build(options)
        trains(model, **batch(model, channels=channels))


@pytest.mark.parametrize('encoder', ENCODERS)
def test_another_size_in_mid_training(encoder):
    """Identity when the size comes back; parameters keep their shapes; the loss stays finite."""
    model = build(encoder=encoder, target='hog')
    model.eval()
    data = batch(model)
    before = model(**data, mode='loss')['loss']
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    model.set_input_size((96, 128))
    trains(model, **batch(model, (96, 128)))
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == shapes
    model.set_input_size(SIZE)
    assert torch.equal(model(**data, mode='loss')['loss'], before)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('target', TARGETS)
def test_autocast_leaves_target_and_loss_in_float32(target, dtype):
    model = build(target=target)
    data = batch(model)
    plain = model(**data, mode='predict')
    with torch.autocast('cpu', dtype=dtype):
        mixed = model(**data, mode='predict')
        loss = model(**data, mode='loss')['loss']
    assert torch.equal(plain['target'], mixed['target']) and loss.dtype == torch.float32
    torch.testing.assert_close(mixed['prediction'].float(), plain['prediction'], atol=.05, rtol=.1)


def test_dropped_tokens_go_with_a_decoder_that_inserts_them():
    with pytest.raises(InputError, match='inserts them, as MAEDecoder, but TokenDropFill came with Transformer'):
        build(fill='drop', decoder='transformer with positions')
    model = build(fill='drop', decoder='mae', target='hog')
    model.eval()
    data = batch(model)
    predicted = model.predict(data['inputs'], data['mask']).flatten(2).transpose(1, 2)
    hidden = predicted[0][data['mask'][0].repeat_interleave(2, 0).repeat_interleave(2, 1).flatten()]
    assert len(torch.unique(hidden[:, 0])) == len(hidden)


@pytest.mark.parametrize('normalization', [{}, dict(mean=None, std=None)])
def test_classes_of_images_that_are_not_normalised(normalization):
    options = config(target='bins')
    options['data_preprocessor'] = dict(
        type='mim_plugins.MaskingDataPreprocessor', mask=MASKS['random'], **normalization)
    model = MODELS.build(options)
    trains(model, **batch(model))


def test_images_of_other_channels_are_refused():
    model = build()
    with pytest.raises(InputError, match='a fill of 3 channels got images of 1'):
        model(torch.zeros(2, 1, *SIZE), mask=batch(model)['mask'], mode='loss')


def test_classes_and_values_are_not_mixed_up():
    options = config(target='clusters')
    options['head']['loss'] = dict(criterion='L1')
    with pytest.raises(InputError, match='ColorClusterTarget came with L1'):
        MODELS.build(options)
    options = config(target='pixels')
    options['head']['loss'] = dict(criterion='CrossEntropy')
    with pytest.raises(InputError, match='PixelTarget came with CrossEntropy'):
        MODELS.build(options)
