"""Linear, MLP and inverse Swin decoders: shapes, orders, gradients, published sizes."""
from functools import partial

import pytest
import torch
from mmpretrain.models import SwinTransformer

from mim_plugins.errors import InputError
from mim_plugins.models import PatchTokenFill, ReconstructionHead
from mim_plugins.models.necks import Decoder, InverseSwinDecoder, LinearDecoder, MLPDecoder
from mim_plugins.ops import tokens_to_map

TINY_SWIN = dict(embed_dims=4, depths=[2, 2, 1, 2], num_heads=[1, 1, 2, 4])
DECODERS = dict(
    linear=LinearDecoder,
    mlp=partial(MLPDecoder, hidden_channels=6),
    inverse_swin=partial(InverseSwinDecoder, arch=TINY_SWIN, window_size=3))
TARGETS = dict(pixel=(3, 1), grey=(1, 1), hog=(27, 8), downsampled=(4, 4), classes=(8, 16))  # channels, px per cell


def make(name: str, size: tuple[int, int] | None = None, **options) -> Decoder:
    decoder = DECODERS[name](**{**dict(in_channels=8, out_channels=3, stride=32, out_stride=1), **options})
    decoder.init_weights()
    if size and hasattr(decoder, 'set_input_size'):
        decoder.set_input_size(size)
    return decoder


@pytest.mark.parametrize('name', DECODERS)
class TestEveryDecoder:

    # Both strides with one pixel and with many per cell; squares and rectangles.
    @pytest.mark.parametrize('target, stride, size', [
        ('pixel', 32, (64, 64)), ('grey', 16, (32, 96)), ('hog', 32, (32, 96)), ('hog', 16, (64, 64)),
        ('downsampled', 16, (64, 64)), ('classes', 32, (32, 96)), ('classes', 16, (32, 96))])
    def test_predicts_the_target_s_map(self, name, target, stride, size):
        channels, cell = TARGETS[target]
        decoder = make(name, size, out_channels=channels, stride=stride, out_stride=cell)
        features = torch.randn(2, 8, size[0] // stride, size[1] // stride)
        prediction = decoder(features, size)
        assert prediction.shape == (2, channels, size[0] // cell, size[1] // cell)
        assert prediction.isfinite().all() and prediction.std() > 0

    def test_tokens_and_maps_give_the_same_without_extra_tokens(self, name):
        decoder, tokens = make(name, (32, 48), stride=16, num_extra_tokens=1), torch.randn(2, 7, 8)
        from_tokens = decoder(tokens, (32, 48))
        torch.testing.assert_close(decoder((None, tokens_to_map(tokens[:, 1:], (2, 3))), (32, 48)), from_tokens)
        tokens[:, 0] += 1
        assert torch.equal(decoder(tokens, (32, 48)), from_tokens)

    @pytest.mark.parametrize('cell', [1, 8])
    def test_every_parameter_gets_a_gradient(self, name, cell):
        decoder = make(name, (128, 128), out_stride=cell)
        decoder(torch.randn(1, 8, 4, 4), (128, 128)).square().sum().backward()
        assert not [key for key, value in decoder.named_parameters() if value.grad is None or not value.grad.any()]

    def test_visible_predictions_get_no_gradient(self, name):
        decoder = make(name, (32, 64))
        prediction = decoder(torch.randn(1, 8, 1, 2), (32, 64))
        prediction.retain_grad()
        mask = torch.tensor([[[True, False]]])
        ReconstructionHead().loss(prediction, torch.randn(1, 3, 32, 64), mask).backward()
        assert prediction.grad[..., :32].all() and not prediction.grad[..., 32:].any()

    def test_refuses_features_of_another_grid(self, name):
        with pytest.raises(InputError, match='grid of 2x2 .* gave a map of 3x2 with 8 channels'):
            make(name, (64, 64))(torch.zeros(1, 8, 3, 2), (64, 64))

    def test_refuses_tokens_that_do_not_hold_whole_cells(self, name):
        with pytest.raises(InputError, match='tokens of 32 px cannot predict whole target cells of 5 px'):
            make(name, out_stride=5)


class TestTokenWiseDecoders:

    @pytest.mark.parametrize('name', ['linear', 'mlp'])
    def test_places_are_independent(self, name):
        decoder, features = make(name, out_stride=8), torch.randn(1, 8, 2, 3)
        changed = features.clone()
        changed[..., 1, 2] += 1
        same = torch.isclose(decoder(features, (64, 96)), decoder(changed, (64, 96))).all(1)[0]
        assert not same[4:, 8:].any() and same[:4].all() and same[4:, :8].all()

    def test_cells_are_laid_out_as_by_pixel_shuffle(self):
        decoder, features = make('linear', out_stride=8), torch.randn(2, 8, 2, 3)
        shuffled = torch.nn.functional.pixel_shuffle(decoder.predict(features), 4)
        assert torch.equal(decoder(features, (64, 96)), shuffled)

    def test_mlp_is_two_layers_with_a_gelu(self):
        decoder, features = make('mlp', out_stride=32), torch.randn(1, 8, 1, 2)
        first, last = decoder.predict[0], decoder.predict[2]
        hidden = torch.nn.functional.gelu(features.flatten(2).mT @ first.weight[..., 0, 0].T + first.bias)
        expected = hidden @ last.weight[..., 0, 0].T + last.bias
        torch.testing.assert_close(decoder(features, (32, 64)).flatten(2).mT, expected)


class TestInverseSwinDecoder:

    @staticmethod
    def windows(decoder: InverseSwinDecoder) -> list[list[tuple[int, int]]]:
        return [[(block.attn.window_size, block.attn.shift_size) for block in stage.blocks] for stage in decoder.stages]

    @pytest.mark.parametrize('stride, size, expected', [
        (32, (128, 128), [[(4, 0)] * 2, [(4, 0)], [(4, 0), (4, 2)], [(4, 0), (4, 2)]]),
        (32, (192, 256), [[(6, 0)] * 2, [(6, 0)], [(6, 0), (6, 3)], [(6, 0), (6, 3)]]),
        (16, (96, 112), [[(3, 0), (3, 1)], [(3, 0)], [(3, 0), (3, 1)], [(3, 0), (3, 1)]]),
        (8, (24, 24), [[(1, 0)] * 2, [(1, 0)], [(1, 0)] * 2, [(1, 0)] * 2]),
        (64, (128, 192), [[(2, 0)] * 2, [(4, 0)], [(4, 0), (4, 2)], [(4, 0), (4, 2)]]),
    ])
    def test_windows_follow_the_size_and_fit_the_maps(self, stride, size, expected):
        assert self.windows(make('inverse_swin', size, stride=stride)) == expected

    def test_another_size_and_back_changes_nothing(self):
        decoder, features = make('inverse_swin', (96, 96)), torch.randn(1, 8, 3, 3)
        shapes = {key: value.shape for key, value in decoder.state_dict().items()}
        before = decoder(features, (96, 96))
        decoder.set_input_size((64, 128))
        assert decoder(torch.randn(1, 8, 2, 4), (64, 128)).shape == (1, 3, 64, 128)
        assert {key: value.shape for key, value in decoder.state_dict().items()} == shapes
        decoder.set_input_size((96, 96))
        assert torch.equal(decoder(features, (96, 96)), before)

    def test_tables_keep_the_window_of_the_build(self):
        tables = [value for key, value in make('inverse_swin', (128, 128)).named_parameters() if 'table' in key]
        assert len(tables) == 7 and all(len(table) == 25 for table in tables)

    @pytest.mark.parametrize('stride, last', [(8, 1), (16, 2), (32, 4), (64, 8)])
    def test_the_last_expansion_reaches_pixels(self, stride, last):
        assert [expansion.factor for expansion in make('inverse_swin', stride=stride).expansions] == [2, 2, 2, last]

    def test_starts_truncated_normal(self):
        decoder = make('inverse_swin')
        assert decoder.embed.weight.std().item() == pytest.approx(.02, rel=.2) and not decoder.embed.bias.any()
        assert decoder.predict.weight.abs().max() < .1 and decoder.predict.weight.any()
        assert torch.equal(decoder.expansions[0].norm.weight, torch.ones(16))

    def test_a_token_reaches_its_neighbours(self):
        decoder, features = make('inverse_swin', (64, 64)), torch.randn(1, 8, 2, 2)
        changed = features.clone()
        changed[..., 0, 0] += 1
        assert not torch.equal(decoder(features, (64, 64))[..., 32:, 32:], decoder(changed, (64, 64))[..., 32:, 32:])

    @pytest.mark.parametrize('options, message', [
        (dict(arch='nano'), "base, l, large or a dict, but is 'nano'"),
        (dict(arch=dict(embed_dims=4, depths=[1])), "as many depths as num_heads, but is {'embed_dims': 4"),
        (dict(arch=dict(embed_dims=4, depths=[1], num_heads=[1, 2])), 'as many depths as num_heads'),
        (dict(arch=dict(embed_dims=4, depths=[1, 1], num_heads=[1, 3])), 'width 8 cannot be divided among 3 heads'),
        (dict(stride=12), 'of 4 stages needs an encoder whose stride is a multiple of 8 px, but it is 12 px'),
    ])
    def test_refuses_what_does_not_fit(self, options, message):
        with pytest.raises(InputError, match=message):
            make('inverse_swin', **options)

    def test_refuses_a_size_it_was_not_told(self):
        with pytest.raises(InputError, match='set for no size yet, but images of .64, 64. came'):
            make('inverse_swin')(torch.zeros(1, 8, 2, 2), (64, 64))
        with pytest.raises(InputError, match='set for .96, 96., but images of .64, 64. came'):
            make('inverse_swin', (96, 96))(torch.zeros(1, 8, 2, 2), (64, 64))


@pytest.fixture(scope='module')
def swin_base_and_token() -> int:
    """Parameters of SimMIM's Swin-B at 192 px, its last norm included, and of its mask token."""
    encoder, fill = SwinTransformer(arch='base', img_size=192, window_size=6), PatchTokenFill()
    fill.attach(encoder)
    return sum(value.numel() for part in (encoder, fill) for value in part.parameters())


@pytest.mark.parametrize('decoder, total, published', [
    (LinearDecoder, 89_874_104, 89.9),
    (MLPDecoder, 90_923_704, 90.9),
    (InverseSwinDecoder, 115_166_933, 115.2),
    (partial(InverseSwinDecoder, arch='base'), 174_754_547, 174.8),
])
def test_published_totals(swin_base_and_token, decoder, total, published):
    """SimMIM, arXiv 2111.09886, section 4.1: millions of parameters of encoder, mask token and decoder."""
    made = decoder(in_channels=1024, out_channels=3, stride=32, out_stride=1)
    count = swin_base_and_token + sum(value.numel() for value in made.parameters())
    assert count == total and round(count / 1e6, 1) == published
