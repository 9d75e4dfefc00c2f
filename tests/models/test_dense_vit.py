"""A plain ViT for dense prediction: counts, windows, relative positions, weights of a pre-training."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import MultiheadAttention
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import DenseVisionTransformer, SinCosVisionTransformer
from mim_plugins.models.backbones.grid_attention import GridAttention
from mim_plugins.models.backbones.relative_positions import DecomposedPositions, PositionTable
from mim_plugins.ops import resize_position_table

SMALL = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
WINDOWS = dict(window_size=3, global_blocks=[1])
FORMS = {
    'plain': {}, 'windows': WINDOWS, 'vitdet': dict(relative_position='decomposed', **WINDOWS),
    'shared tables': dict(relative_position='shared_table', **WINDOWS),
    'tables': dict(relative_position='table', **WINDOWS), 'cls': dict(with_cls_token=True),
    'mae': dict(with_cls_token=True, relative_position='table'),
}


def build(cls=DenseVisionTransformer, **options) -> nn.Module:
    own = dict(input_size=80) if cls is DenseVisionTransformer else {}
    model = cls(**{'img_size': 64, 'arch': SMALL, **own, **options})
    model.init_weights()
    for parameter in model.parameters():  # what starts at 0 would hide mistakes
        parameter.data.add_(.1 * torch.randn_like(parameter))
    model.eval()
    return model


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class TestPublishedCounts:

    def test_vitdet(self):
        with torch.device('meta'):
            model = DenseVisionTransformer(window_size=14, relative_position='decomposed')
        assert count(model) == 85_889_024
        assert [layer.attn.window is None for layer in model.layers] == [False, False, True] * 4

    def test_four_levels(self):
        with torch.device('meta'):
            model = DenseVisionTransformer(window_size=14, relative_position='shared_table', out_indices=[2, 5, 8, 11])
        unused_cls, rescaling = 768, 7_087_872
        assert count(model) + unused_cls + rescaling == 93_087_360
        assert {len(table) for name, table in model.named_parameters() if name.endswith('bias_table')} == {
            27**2 + 3, 127**2 + 3}


@pytest.mark.parametrize('form', FORMS)
class TestAllForms:

    @pytest.mark.parametrize('size', [(64, 64), (80, 80), (48, 112), (50, 90)])
    def test_gives_maps_of_the_layers_asked_for_and_trains_everything(self, form, size):
        model = build(out_indices=[0, 2], **FORMS[form])
        maps = model(torch.randn(2, 3, *size))
        assert [part.shape for part in maps] == [(2, 16, -(-size[0] // 16), -(-size[1] // 16))] * 2
        maps[1].square().mean().backward()
        assert [name for name, value in model.named_parameters() if value.grad is None] == []

    def test_keeps_the_names_and_shapes_of_pre_training(self, form):
        stored = build(SinCosVisionTransformer).state_dict()
        own = build(final_norm=True, **FORMS[form]).state_dict()
        assert stored.keys() - own.keys() <= {'cls_token'}
        assert {name for name in stored.keys() & own.keys() if stored[name].shape != own[name].shape} == set()
        assert all('position' in name for name in own.keys() - stored.keys())

    @torch.no_grad()
    def test_starts_with_the_features_of_the_pre_training_encoder(self, form):
        """Relative positions start at 0 and windows as large as the map are none; cls is left out on both sides."""
        with_cls = FORMS[form].get('with_cls_token', False)
        stored = build(SinCosVisionTransformer, out_type='featmap', with_cls_token=with_cls)
        model = build(**{**FORMS[form], 'window_size': 4 if 'window_size' in FORMS[form] else None}, final_norm=True)
        for name, parameter in model.named_parameters():
            if 'position' in name:
                nn.init.zeros_(parameter)
        left = model.load_state_dict(stored.state_dict(), strict=False)
        assert left.unexpected_keys == [] and all('position' in name for name in left.missing_keys)
        images = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(model(images)[0], stored(images)[0], atol=1e-5, rtol=1e-5)

    def test_recomputation_changes_neither_outputs_nor_gradients(self, form):
        model = build(drop_path_rate=.5, **FORMS[form])
        frugal = DenseVisionTransformer(arch=SMALL, img_size=64, input_size=80, drop_path_rate=.5, with_cp=True,
                                        **FORMS[form])
        frugal.load_state_dict(model.state_dict())
        images, results = torch.randn(4, 3, 48, 80), []
        for part in (model, copy.deepcopy(frugal)):
            part.train()
            torch.manual_seed(1)
            features = part(images)[0]
            features.square().sum().backward()
            results.append([features, *(value.grad for value in part.parameters())])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)
        assert all(value.grad is None for value in frugal.parameters())


class TestWeightsOfPreTraining:

    @pytest.mark.parametrize('with_cls', [True, False])
    def test_an_embedding_of_another_size_is_resized(self, with_cls):
        stored = build(SinCosVisionTransformer, img_size=128, out_type='raw', with_cls_token=with_cls)
        model = build(img_size=64)
        left = model.load_state_dict(stored.state_dict(), strict=False)
        assert left.missing_keys == []
        assert set(left.unexpected_keys) == {'ln1.weight', 'ln1.bias'} | ({'cls_token'} if with_cls else set())
        table = stored.pos_embed[0, int(with_cls):].T.view(1, 16, 8, 8)
        expected = F.interpolate(table, (4, 4), mode='bicubic').flatten(2).transpose(1, 2)
        torch.testing.assert_close(model.pos_embed[:, 1:], expected)
        assert torch.equal(model.pos_embed[:, :1], torch.zeros(1, 1, 16))

    def test_the_embedding_is_resized_to_the_image_and_learned(self):
        model, images = build(), torch.randn(1, 3, 32, 96)
        stock = VisionTransformer(arch=SMALL, img_size=(32, 96), out_type='featmap', final_norm=False,
                                  with_cls_token=False)
        stock.load_state_dict({**model.state_dict(), 'pos_embed': F.interpolate(
            model.pos_embed[0, 1:].T.view(1, 16, 4, 4), (2, 6), mode='bicubic').flatten(2).transpose(1, 2)})
        stock.eval()
        torch.testing.assert_close(model(images), stock(images))
        assert 'pos_embed' in dict(model.named_parameters())

    def test_refuses_an_embedding_of_no_square(self):
        with pytest.raises(InputError, match='of 11 tokens is not one of a grid of 3x3 with 1 extra'):
            build().load_state_dict({'pos_embed': torch.zeros(1, 11, 16)}, strict=False)

    @pytest.mark.parametrize('form', ['vitdet', 'shared tables', 'mae'])
    def test_relative_positions_of_another_size_are_resized(self, form):
        """On the way in or inside the forward: the same features."""
        small, large = build(**FORMS[form]), build(input_size=112, **FORMS[form])
        shapes = {name: value.shape for name, value in large.state_dict().items()}
        large.load_state_dict(small.state_dict())
        assert {name: value.shape for name, value in large.state_dict().items()} == shapes
        images = torch.randn(1, 3, 112, 112)
        torch.testing.assert_close(large(images), small(images), atol=1e-5, rtol=1e-4)


class TestWindows:

    @torch.no_grad()
    def test_pads_are_zeros_after_the_norm_and_take_part(self):
        model = build(window_size=3, global_blocks=[])
        attention = model.layers[0].attn
        attention.grid = (4, 5)
        tokens = torch.randn(2, 20, 16)
        padded = torch.zeros(2, 6, 6, 16)
        padded[:, :4, :5] = tokens.view(2, 4, 5, 16)
        stock = VisionTransformer(arch=SMALL).layers[0].attn
        stock.load_state_dict(attention.state_dict())
        stock.eval()
        expected = torch.zeros_like(padded)
        for top in (0, 3):
            for left in (0, 3):
                window = padded[:, top:top + 3, left:left + 3].reshape(2, 9, 16)
                expected[:, top:top + 3, left:left + 3] = stock(window).view(2, 3, 3, 16)
        torch.testing.assert_close(attention(tokens), expected[:, :4, :5].reshape(2, 20, 16))

    @pytest.mark.parametrize('window', [None, (3, 3)])
    def test_attention_is_dropped_in_training_alone(self, window):
        attention = GridAttention(MultiheadAttention(8, 2, attn_drop=.5), window)
        attention.grid = (4, 4)
        tokens = torch.randn(1, 16, 8)
        attention.eval()
        expected, = attention(tokens).unbind()
        attention.train()
        found = attention(tokens.expand(8192, -1, -1))
        assert (found[0] - found[1]).abs().min() > 0
        torch.testing.assert_close(found.mean(0), expected, atol=.03, rtol=0)
        attention.attn_drop = 0.
        torch.testing.assert_close(attention(tokens)[0], expected)

    def test_drop_path_takes_whole_images(self):
        attention = build(window_size=3, global_blocks=[], drop_path_rate=.5).layers[2].attn
        attention.train()
        attention.grid = (6, 6)
        outputs = attention(torch.randn(16, 36, 16)).flatten(1)
        dropped = (outputs == 0).all(1)
        assert 0 < dropped.sum() < 16 and (outputs[~dropped] != 0).all()

    @torch.no_grad()
    def test_information_stays_within_windows_but_in_global_layers(self):
        images = torch.randn(1, 3, 96, 96)
        changed = images.clone()
        changed[..., :16, :16] += 1
        for options, affected in ((dict(global_blocks=[]), 9), (dict(global_blocks=[1]), 36)):
            model = build(window_size=3, **options)
            differs = (model(changed)[0] - model(images)[0]).abs().amax(1) > 1e-7
            assert int(differs.sum()) == affected


class TestRelativePositions:

    @pytest.mark.parametrize('grid', [(3, 4), (5, 2)])
    def test_decomposed_as_written_in_the_paper(self, grid):
        positions = DecomposedPositions((3, 4), 8)
        for table in positions.parameters():
            nn.init.normal_(table)
        query, key = torch.randn(2, 2, 3, grid[0] * grid[1], 8).unbind()
        wide_query, wide_key, bias = positions(query, key, grid)
        rows = resize_position_table(positions.rel_pos_h, (3, 1), (grid[0], 1))
        columns = resize_position_table(positions.rel_pos_w, (4, 1), (grid[1], 1))
        expected = query @ key.transpose(-1, -2) * 8**-.5
        for one in range(grid[0] * grid[1]):
            for other in range(grid[0] * grid[1]):
                down, right = one // grid[1] - other // grid[1], one % grid[1] - other % grid[1]
                offset = rows[down + grid[0] - 1] + columns[right + grid[1] - 1]
                expected[:, :, one, other] += query[:, :, one] @ offset
        assert bias is None
        torch.testing.assert_close(wide_query @ wide_key.transpose(-1, -2) * 8**-.5, expected, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize('grid, cls', [((3, 4), False), ((3, 4), True), ((2, 6), True)])
    def test_tables_as_written_in_the_paper(self, grid, cls):
        table = PositionTable((3, 4), 2)
        rows = nn.init.normal_(table.relative_position_bias_table)
        query = torch.randn(1, 2, grid[0] * grid[1] + cls, 8)
        *same, bias = table(query, query, grid)
        assert same == [query, query] and bias.shape == (2, query.shape[2], query.shape[2])
        if cls:
            assert torch.equal(bias[:, 0, 1:], rows[-3, :, None].expand(-1, query.shape[2] - 1))
            assert torch.equal(bias[:, 1:, 0], rows[-2, :, None].expand(-1, query.shape[2] - 1))
            assert torch.equal(bias[:, 0, 0], rows[-1])
        resized = resize_position_table(rows, (3, 4), grid, 3)
        one, other = (1, 0), (0, 1)  # a token and one to the right above it
        row = (one[0] - other[0] + grid[0] - 1) * (2 * grid[1] - 1) + one[1] - other[1] + grid[1] - 1
        assert torch.equal(bias[:, cls + grid[1], cls + 1], resized[row])

    def test_start_at_zero_and_are_learned(self):
        for form in ('vitdet', 'tables', 'shared tables'):
            model = DenseVisionTransformer(arch=SMALL, img_size=64, input_size=80, **FORMS[form])
            model.init_weights()
            learned = {name: value for name, value in model.named_parameters() if 'position' in name}
            assert learned and not any(value.any() for value in learned.values())
            model(torch.randn(1, 3, 80, 80))[0].square().sum().backward()
            assert all(value.grad.any() for value in learned.values())


@pytest.mark.parametrize('options, message', [
    (dict(relative_position='shared'), "one of none, decomposed, table, shared_table, but is 'shared'"),
    (dict(with_cls_token=True, window_size=2, global_blocks=[0]), 'no place in windows .* window_size=2'),
    (dict(with_cls_token=True, relative_position='decomposed'), "no place .* relative_position='decomposed'"),
    (dict(window_size=2), r'global_blocks must name some of 3 layers, counted from 0, but is \(2, 5, 8, 11\)'),
    (dict(out_indices=[3]), r'out_indices must name some of 3 layers, counted from 0, but is \(3,\)'),
    (dict(arch='enormous'), "arch must be one of .* or a dict, but is 'enormous'"),
])
def test_refuses(options, message):
    with pytest.raises(InputError, match=message):
        DenseVisionTransformer(**{'arch': SMALL, 'img_size': 64, 'input_size': 80, **options})


def test_layers_for_layer_wise_decay():
    model = build(**FORMS['vitdet'])
    depths = {name: model.get_layer_depth(name)[0] for name, _ in model.named_parameters()}
    assert depths['layers.1.attn.positions.rel_pos_h'] == 2 and depths['pos_embed'] == 0
