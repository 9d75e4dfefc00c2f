import pytest
import torch
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample

from mim_plugins.errors import InputError
from mim_plugins.models import MaskingDataPreprocessor, MixedMaskingDataPreprocessor
from mim_plugins.ops import patchify, resize_mask
from mim_plugins.registry import MODELS

MASK = dict(unit=8, ratio=.5, rounding='floor_masked')


def batch(number: int = 4, size: tuple[int, int] = (32, 48)) -> dict:
    return dict(inputs=torch.randint(256, (number, 3, *size), dtype=torch.uint8),
                data_samples=[DataSample() for _ in range(number)])


def make(**options) -> MixedMaskingDataPreprocessor:
    return MixedMaskingDataPreprocessor(**{'mask': MASK, 'mean': [120.], 'std': [60.], **options})


def pixels(result: dict) -> torch.Tensor:
    return resize_mask(result['mask'], tuple(result['inputs'].shape[-2:]))[:, None].expand(-1, 3, -1, -1)


@pytest.mark.parametrize('pairing', ['flip', 'roll', 'permutation'])
@pytest.mark.parametrize('number', [2, 5, 8])
def test_a_mix_shows_the_partner_where_the_mask_says(pairing, number):
    data = batch(number)
    result = make(pairing=pairing)(data, True)
    partner, clean, masked = result['partner'], result['clean'], pixels(result)
    plain = MaskingDataPreprocessor(mask=MASK, mean=[120.], std=[60.])(data, True)
    assert torch.equal(clean, plain['inputs']) and torch.equal(result['mask'], plain['mask'])
    assert torch.equal(result['inputs'][masked], clean[partner][masked])
    assert torch.equal(result['inputs'][~masked], clean[~masked])
    assert torch.all(result['mask'].sum((1, 2)) == 12) and len(torch.unique(result['mask'], dim=0)) > 1
    assert sorted(partner.tolist()) == list(range(number)) and torch.all(partner != torch.arange(number))


def test_pairings():
    for pairing, expected in (('flip', [3, 2, 1, 0]), ('flip', [2, 3, 4, 0, 1]), ('roll', [1, 2, 3, 0])):
        assert make(pairing=pairing)(batch(len(expected)))['partner'].tolist() == expected
    drawn = make(pairing='permutation')
    partners = {tuple(drawn(batch(8))['partner'].tolist()) for _ in range(4)}
    again = make(pairing='permutation')
    assert len(partners) == 4 and partners == {tuple(again(batch(8))['partner'].tolist()) for _ in range(4)}


def test_shared_masks_and_ranges_of_ratios():
    shared = make(mask=dict(MASK, shared=True))(batch())['mask']
    assert torch.equal(shared, shared[:1].expand_as(shared))
    preprocessor = make(mask=dict(MASK, ratio=.25, ratio_range=.5))
    counts = [preprocessor(batch())['mask'].sum((1, 2)) for _ in range(40)]
    assert all(torch.all(count == count[0]) for count in counts)
    drawn = {int(count[0]) for count in counts}
    assert drawn <= set(range(6, 19)) and min(drawn) < 9 and max(drawn) > 15
    block = make(mask=dict(type='mim_plugins.BlockMasks', min_block=2, **MASK))(batch())
    assert torch.all(block['mask'].sum((1, 2)) == 12)


def test_shuffled_units_stay_in_their_image():
    result = make(content='shuffle', mask=dict(MASK, ratio=.6))(batch())
    inputs, clean = patchify(result['inputs'], 8), patchify(result['clean'], 8)
    mask = result['mask'].flatten(1)
    moved = 0
    for got, own, masked in zip(inputs, clean, mask, strict=True):
        assert torch.equal(got[~masked], own[~masked])
        same = (got[masked][:, None] == own[masked]).all(-1)
        assert torch.equal(same.sum(0), torch.ones(14, dtype=torch.int64)) and torch.all(same.sum(1) == 1)
        moved += int((same.long().argmax(1) != torch.arange(14)).sum())
    assert moved > 40 and 'partner' not in result


def test_masks_of_different_counts_can_be_shuffled():
    masks = torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[0, 0], masks[1, :2] = True, True
    result = make(content='shuffle').corrupt(torch.randn(2, 3, 32, 48), masks, torch.Generator())
    hidden = pixels(result)
    assert torch.equal(result['inputs'][~hidden], result['clean'][~hidden])
    torch.testing.assert_close(result['inputs'].mean((2, 3)), result['clean'].mean((2, 3)))


def test_zooming_in_shows_the_centre():
    ramp = torch.linspace(0, 1, 48).expand(2, 3, 32, 48).contiguous()
    mask = torch.ones(2, 4, 6, dtype=torch.bool)
    mask[:, 0] = False
    result = make(content='zoom', zoom=2.).corrupt(ramp, mask, torch.Generator())
    assert torch.equal(result['inputs'][:, :, :8], ramp[:, :, :8])
    row = result['inputs'][0, 0, 16]
    torch.testing.assert_close(row[2:-2], .25 + (torch.arange(48.) + .5)[2:-2] / 94 - .0053, atol=5e-3, rtol=0)


def test_nothing_is_filled_in_where_the_model_does_it():
    result = make(content='none')(batch(1))
    assert torch.equal(result['inputs'], result['clean']) and 'partner' not in result


def test_refusals():
    for options, message in (
            (dict(content='cut'), "content must be one of mix, shuffle, zoom, none, but is 'cut'"),
            (dict(pairing='next'), "pairing must be one of flip, roll, permutation, but is 'next'"),
            (dict(zoom=1.), 'above 1, but is 1.0'), (dict(with_clean_inputs=True), 'goes with sample_mask_stride'),
            (dict(mask=dict(MASK, ratio_range=-.1)), 'how far above ratio .* but with ratio=0.5 it is -0.1'),
            (dict(mask=dict(MASK, ratio_range=[.3, .6])), r'how far above ratio .* it is \[0.3, 0.6\]'),
            (dict(mask=dict(MASK, ratio_range=.5)), 'below 1 - ratio, but with ratio=0.5 it is 0.5')):
        with pytest.raises(InputError, match=message):
            make(**options)
    with pytest.raises(InputError, match='at least two images in a batch, but 1 came: a loader with drop_last=True'):
        make()(batch(1), True)
    with pytest.raises(InputError, match='36x48 cannot be divided into mask units of 8 px'):
        make()(batch(size=(36, 48)))


class Colours(BaseModule):
    """A target of four classes: which channel is largest."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images, 16)


def test_feeds_algorithms_of_mmpretrain():
    arch = dict(embed_dims=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1])
    preprocessor = dict(type='mim_plugins.MixedMaskingDataPreprocessor', mask=dict(unit=32, ratio=.5))
    simmim = MODELS.build(dict(
        type='mmpretrain.SimMIM', data_preprocessor=dict(preprocessor, sample_mask_stride=4),
        backbone=dict(type='SimMIMSwinTransformer', arch=arch, img_size=64, stage_cfgs=dict(
            block_cfgs=dict(window_size=2))),
        neck=dict(type='SimMIMLinearDecoder', in_channels=128, encoder_stride=32),
        head=dict(type='SimMIMHead', patch_size=4, loss=dict(type='PixelReconstructionLoss', criterion='L1'))))
    result = simmim.data_preprocessor(batch(size=(64, 64)), True)
    assert set(result) == {'inputs', 'data_samples'}
    assert [sample.partner for sample in result['data_samples']] == [3, 2, 1, 0]
    assert all(sample.mask.shape == (16, 16) and sample.mask.sum() == 128 for sample in result['data_samples'])
    assert simmim(**result, mode='loss')['loss'].isfinite()

    beit = MODELS.build(dict(
        type='mmpretrain.BEiT',
        data_preprocessor=dict(preprocessor, sample_mask_stride=16, with_clean_inputs=True),
        backbone=dict(type='BEiTPretrainViT', img_size=64, patch_size=16, arch=dict(
            embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32)),
        head=dict(type='BEiTV1Head', embed_dims=16, num_embed=3, loss=dict(type='CrossEntropyLoss'))))
    beit.target_generator = Colours()
    result = beit.data_preprocessor(batch(size=(64, 64)), True)
    mixed, clean = result['inputs']
    hidden = resize_mask(torch.stack([sample.mask for sample in result['data_samples']]), (64, 64))
    hidden = hidden[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(mixed[hidden], clean.flip(0)[hidden]) and torch.equal(mixed[~hidden], clean[~hidden])
    assert beit(**result, mode='loss')['loss'].isfinite()


@pytest.mark.gpu
def test_mixing_happens_on_the_images_device():
    for content in ('mix', 'shuffle', 'zoom'):
        result = make(content=content, pairing='permutation').cuda()(batch())
        assert all(result[name].is_cuda for name in result if name != 'data_samples')


def test_zooming_in_cuts_the_middle_of_a_rectangle():
    """Two thirds of the rows and columns, as bicubic interpolation enlarges them."""
    images = torch.randn(2, 3, 16, 48)
    everywhere = torch.ones(2, 2, 6, dtype=torch.bool)
    result = make(content='zoom', zoom=1.5).corrupt(images, everywhere, torch.Generator())
    middle = images[..., 2:13, 8:40]
    expected = torch.nn.functional.interpolate(middle, (16, 48), mode='bicubic', align_corners=False)
    assert torch.equal(result['inputs'], expected)
