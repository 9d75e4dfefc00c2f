"""The four base methods that PixMIM builds on: MAE, MFF, ConvMAE, LSMAE, and their decoder."""
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.models import MAEDecoder, MFFVisionTransformer
from mim_plugins.models.fills import inside
from mim_plugins.ops import random_masks, sin_cos_position_embedding
from mim_plugins.registry import MODELS

VIT = dict(out_type='raw', patch_size=8, arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64))
METHODS = {
    'mae': dict(backbone=dict(type='mim_plugins.SinCosVisionTransformer', **VIT)),
    'mff': dict(backbone=dict(type='mim_plugins.MFFVisionTransformer', fused_layers=[0, 1], **VIT)),
    'convmae': dict(backbone=dict(type='mim_plugins.ConvMAEEncoder', arch=dict(
        embed_dims=[8, 16, 32], depths=[1, 1, 2], num_heads=2)), stride=16, extra=0),
    'lsmae': dict(backbone=dict(type='mim_plugins.SinCosVisionTransformer', **VIT), unit=16),
    'timm': dict(backbone=dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', embed_dim=32, depth=1,
                               num_heads=2, dynamic_img_size=True), stride=16),
}
TARGETS = {
    'mae': dict(type='mim_plugins.PixelTarget', norm_patch=16),
    'pixmim': dict(type='mim_plugins.LowPassTarget', radius=5, target=dict(norm_patch=16)),
    'adaptive': dict(type='mim_plugins.LowPassTarget', radius=(2, 10), target=dict(norm_patch=16)),
}


def build(method='mae', target='mae', size=(32, 64), channels: int = 3, **changes) -> torch.nn.Module:
    options = {'stride': 8, 'extra': 1, **METHODS[method], **changes}
    cells = dict(in_channels=channels)
    target = dict(TARGETS[target])
    target |= cells if 'target' not in target else dict(target={**target['target'], **cells})
    model = MODELS.build(dict(
        type='mim_plugins.PixMIM', input_size=size,
        data_preprocessor=dict(
            type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * channels, std=[60.] * channels,
            mask=dict(unit=options.get('unit', options['stride']), ratio=.75)),
        fill=dict(type='mim_plugins.TokenDropFill'), target_generator=target,
        backbone={**options['backbone'], 'in_channels': channels},
        neck=dict(type='mim_plugins.MAEDecoder', in_channels=32, stride=options['stride'],
                  num_extra_tokens=options['extra'], embed_dims=24, depth=1, num_heads=3, channels_last=True),
        head=dict(type='mim_plugins.ReconstructionHead')))
    model.init_weights()
    return model


def batch(model, channels: int = 3) -> dict:
    images = torch.randint(256, (2, channels, *model.input_size), dtype=torch.uint8)
    return model.data_preprocessor(dict(inputs=images, data_samples=[]), True)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('target', TARGETS)
def test_every_parameter_gets_a_gradient(method, target):
    model = build(method, target)
    losses = model(**batch(model), mode='loss')
    losses['loss'].backward()
    assert losses['loss'].isfinite()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert ('radius' in losses) == (target == 'adaptive') and ('weight_0' in losses) == (method == 'mff')
    assert not any(value.requires_grad for name, value in losses.items() if name != 'loss')


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('size', [(32, 32), (64, 32)])
def test_an_empty_mask_is_no_mask(method, size):
    model = build(method, size=size).eval()
    images = torch.randn(2, 3, *size)
    unit = model.data_preprocessor.mask_strategy.unit
    empty = torch.zeros(2, size[0] // unit, size[1] // unit, dtype=torch.bool)
    masked, full = (part if isinstance(part, torch.Tensor) else part[-1] for part in (
        model.fill.encode(model.backbone, images, empty), model(images, mode='tensor')))
    full = full.flatten(2).transpose(1, 2) if full.ndim == 4 else full
    torch.testing.assert_close(masked, full, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('method', METHODS)
def test_masked_pixels_are_not_seen(method):
    model = build(method).eval()
    data = batch(model)
    unit = model.data_preprocessor.mask_strategy.unit
    pixels = data['mask'].repeat_interleave(unit, 1).repeat_interleave(unit, 2)[:, None]
    noise = torch.where(pixels, torch.randn_like(data['inputs']), data['inputs'])
    first, second = (model.predict(images, data['mask']) for images in (data['inputs'], noise))
    assert torch.equal(first, second)
    assert not torch.allclose(first, model.predict(data['inputs'].flip(0), data['mask']))


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('channels', [1, 4, 8])
def test_any_number_of_channels(method, channels):
    model = build(method, 'pixmim', channels=channels)
    assert model(**batch(model, channels), mode='loss')['loss'].isfinite()


@pytest.mark.parametrize('method', METHODS)
def test_takes_another_size_in_mid_training(method):
    model = build(method, 'pixmim')
    shapes = {name: p.shape for name, p in model.named_parameters()}
    model.set_input_size((64, 64))
    assert model(**batch(model), mode='loss')['loss'].isfinite()
    assert {name: p.shape for name, p in model.named_parameters()} == shapes
    for part, name in ((model.backbone, 'pos_embed'), (model.neck, 'position_embedding')):
        if hasattr(part, 'set_table_grid'):
            expected = sin_cos_position_embedding(model.neck.grid((64, 64)), getattr(part, name).shape[-1],
                                                  model.neck.num_extra_tokens)
            assert torch.equal(getattr(part, name), expected)


def test_extra_tokens_must_agree():
    for method, extra in (('mae', 0), ('convmae', 1)):
        with pytest.raises(InputError, match=f'gives {1 - extra} extra tokens .* was told num_extra_tokens={extra}'):
            build(method, extra=extra)


class TestMAEDecoder:
    options = dict(in_channels=8, out_channels=3, stride=8, out_stride=1, embed_dims=16, depth=1, num_heads=2)

    def decoder(self, **options) -> MAEDecoder:
        decoder = MAEDecoder(**{**self.options, **options})
        decoder.init_weights()
        decoder.set_input_size((16, 24))
        return decoder

    @pytest.mark.parametrize('extra', [0, 1])
    def test_visible_tokens_go_to_their_places_and_the_token_to_the_others(self, extra):
        decoder, mask = self.decoder(num_extra_tokens=extra), random_masks(2, (2, 3), .5)
        tokens = torch.randn(2, extra + 3, 8)
        full, got = decoder.embedded(tokens, (16, 24), mask)
        assert got == extra and full.shape == (2, extra + 6, 16)
        torch.testing.assert_close(full[:, :extra], decoder.embed(tokens[:, :extra]))
        masked = mask.flatten(1)
        torch.testing.assert_close(full[:, extra:][~masked], decoder.embed(tokens)[:, extra:].flatten(0, 1))
        assert torch.equal(full[:, extra:][masked], decoder.mask_token[0].expand(6, -1))

    def test_masked_places_differ_by_position(self):
        decoder, mask = self.decoder(), random_masks(1, (2, 3), .5)
        values = decoder(torch.randn(1, 3, 8), (16, 24), mask)
        cells = values[0, 0, ::8, ::8][mask[0]]
        assert len(torch.unique(cells)) == 3

    def test_nothing_masked(self):
        decoder, tokens = self.decoder(), torch.randn(1, 6, 8)
        embedded, _ = decoder.embedded(tokens, (16, 24), torch.zeros(1, 2, 3, dtype=torch.bool))
        assert torch.equal(embedded, decoder.embed(tokens))

    @torch.no_grad()
    def test_replaces_the_masked_places_of_features_of_all(self):
        decoder, maps = self.decoder(), torch.randn(1, 8, 2, 3)
        mask = torch.tensor([[[0, 1, 1], [0, 0, 1]]], dtype=torch.bool)
        tokens = maps.flatten(2).transpose(1, 2)
        embedded, extra = decoder.embedded((None, maps), (16, 24), mask)
        assert extra == 0 and torch.equal(embedded, decoder.embedded(tokens, (16, 24), mask)[0])
        torch.testing.assert_close(embedded, decoder.embedded(tokens[:, ~mask.flatten()], (16, 24), mask)[0])
        assert torch.equal(embedded[mask.flatten(1)], decoder.mask_token[0].expand(3, -1))

    @pytest.mark.parametrize(('features', 'message'), [
        (torch.zeros(1, 7, 8), 'at most 6 visible tokens of 8 channels, as TokenDropFill'),
        (torch.zeros(1, 3, 9), 'at most 6 visible tokens of 8 channels, as TokenDropFill'),
        (torch.zeros(1, 8, 3, 3), 'features on a grid of 2x3 .* gave a map of 3x3'),
        (torch.zeros(1, 6, 9), 'features on a grid of 2x3 .* gave 6 tokens with 9 channels'),
    ])
    def test_refuses_other_features(self, features, message):
        with pytest.raises(InputError, match=message):
            self.decoder()(features, (16, 24), torch.zeros(1, 2, 3, dtype=torch.bool))

    def test_refuses_to_guess_a_mask(self):
        with pytest.raises(InputError, match='MAEDecoder needs the mask that the encoder worked under'):
            self.decoder()(torch.zeros(1, 3, 8), (16, 24))

    @pytest.mark.parametrize('columns_first', [False, True])
    @pytest.mark.parametrize('grid', [(2, 3), (4, 4)])
    def test_takes_the_order_of_positions_from_a_checkpoint(self, columns_first, grid):
        decoder = self.decoder(num_extra_tokens=1)
        state = {**decoder.state_dict(), 'position_embedding': sin_cos_position_embedding(grid, 16, 1, columns_first)}
        decoder.load_state_dict(state)
        expected = sin_cos_position_embedding((2, 3), 16, 1, columns_first)
        assert torch.equal(decoder.position_embedding, expected)
        decoder.set_input_size((32, 16))
        assert torch.equal(decoder.position_embedding, sin_cos_position_embedding((4, 2), 16, 1, columns_first))
        assert torch.equal(sin_cos_position_embedding((2, 3), 16, 1, True)[..., :8],
                           sin_cos_position_embedding((2, 3), 16, 1, False)[..., 8:])


class TestPublishedCounts:
    """Trained values and fixed position tables together, as they are published."""

    @staticmethod
    def count(module: torch.nn.Module) -> int:
        fixed = [buffer for name, buffer in module.named_buffers() if 'pos' in name]
        return sum(value.numel() for value in [*module.parameters(), *fixed])

    def neck(self, size: int = 224, **options) -> torch.nn.Module:
        neck = MAEDecoder(out_channels=3, out_stride=1, stride=16, **{
            **dict(in_channels=768, num_extra_tokens=1, num_heads=16), **options})
        neck.set_input_size((size, size))
        return neck

    def test_mae(self):
        encoder = MODELS.build(dict(type='mim_plugins.SinCosVisionTransformer', arch='base', out_type='raw'))
        assert self.count(encoder) == 85_798_656
        assert self.count(encoder) + self.count(self.neck()) == 111_907_840

    def test_mff(self):
        assert self.count(MFFVisionTransformer(arch='base')) == 88_751_622
        assert self.count(self.neck(in_channels=1024)) == 26_240_256  # mmpretrain's default width of the encoder
        assert self.count(self.neck()) == 26_109_184

    def test_lsmae(self):
        encoder = MODELS.build(dict(type='mim_plugins.SinCosVisionTransformer', arch='base', out_type='raw',
                                    img_size=448))
        neck = self.neck(448, embed_dims=384, depth=8, num_heads=12)
        assert self.count(encoder) + self.count(neck) == 101_339_520
        assert sum(p.numel() for part in (encoder, neck) for p in part.parameters()) == 100_435_200

    def test_convmae(self):
        encoder = MODELS.build(dict(type='mim_plugins.ConvMAEEncoder', arch='base'))
        neck = self.neck(num_extra_tokens=0)
        assert self.count(encoder) == 84_605_824 + 4_326_912
        assert self.count(encoder) + self.count(neck) == 115_041_408


class TestMFF:

    def test_weights_start_equal_and_projections_change_all_but_the_last(self):
        encoder = MODELS.build(METHODS['mff']['backbone'])
        assert {name: float(weight) for name, weight in encoder.watched().items()} == dict(weight_0=.5, weight_1=.5)
        assert len(encoder.proj_layers) == 1 and not encoder.watched()['weight_0'].requires_grad

    def test_a_single_layer_with_all_weight_is_the_plain_encoder(self):
        encoder, plain = (MODELS.build(METHODS[name]['backbone']) for name in ('mff', 'mae'))
        encoder.init_weights()
        torch.nn.init.constant_(encoder.proj_weights[0], -1e9)
        missing = plain.load_state_dict(encoder.state_dict(), strict=False)
        assert not missing.missing_keys and all('proj_' in name for name in missing.unexpected_keys)
        images = torch.randn(1, 3, 224, 224)
        torch.testing.assert_close(encoder(images)[0], plain(images)[0])

    @pytest.mark.parametrize('layers', [[0], [1, 0], [0, 0, 1]])
    def test_refuses_layers_that_do_not_rise_to_the_last(self, layers):
        with pytest.raises(InputError, match='must rise up to the last one, 1, but are'):
            MFFVisionTransformer(fused_layers=layers, patch_size=8, arch=VIT['arch'])


@pytest.mark.parametrize('method', ['mae', 'convmae'])
@pytest.mark.parametrize('size', [(32, 32), (64, 32)])
def test_the_fill_knows_how_many_tokens_a_training_leaves(method, size, monkeypatch):
    model = build(method, size=size)
    data = batch(model)
    expected = model(**data, mode='loss')['loss']
    monkeypatch.setattr(inside, '_on_host', lambda mask: False)
    monkeypatch.setattr(inside, 'visible_count', lambda *args: pytest.fail('waits for the device'))
    assert torch.equal(model(**data, mode='loss')['loss'], expected)
