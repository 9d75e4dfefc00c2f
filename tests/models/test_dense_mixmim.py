"""MixMIM's encoder for dense prediction: maps of stages, windows of two sizes, images of any size."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.utils import WindowMSA
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import MixMIMTransformer
from mim_plugins.ops import resize_position_table, sin_cos_position_embedding

SMALL = dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4])
DENSE = dict(img_size=64, window_size=4, large_window_blocks={2: [1]}, large_window=6, out_indices=(0, 1, 2, 3),
             out_norms=True, pad=True)


def build(**options) -> MixMIMTransformer:
    model = MixMIMTransformer(SMALL, **options)
    model.init_weights()
    for parameter in model.parameters():  # tables that start at 0 would hide mistakes
        parameter.data.add_(.1 * torch.randn_like(parameter))
    model.eval()
    return model


@pytest.mark.parametrize('size', [(64, 64), (96, 160), (128, 32), (70, 90)])
def test_maps_of_any_size_with_a_norm_each(size):
    model = build(**DENSE)
    for stage in range(4):
        norm = model.norm if stage == 3 else getattr(model, f'norm{stage}')
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
    maps = model(torch.randn(2, 3, *size))
    assert [part.shape for part in maps] == [
        (2, 16 * 2**stage, -(-size[0] // stride), -(-size[1] // stride)) for stage, stride in enumerate((4, 8, 16, 32))]
    for part in maps:
        torch.testing.assert_close(part.mean(1), torch.zeros_like(part[:, 0]), atol=1e-5, rtol=0)
    sum((part**3).sum() for part in maps).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_norms_are_only_where_maps_are_given():
    def norms(**options):
        return {name for name, _ in build(**options).named_parameters() if name.startswith('norm')}
    assert norms(**{**DENSE, 'out_indices': (1, 3)}) == {'norm1.weight', 'norm1.bias', 'norm.weight', 'norm.bias'}
    assert norms(**{**DENSE, 'out_norms': False}) == norms(img_size=64) == {'norm.weight', 'norm.bias'}


def test_windows_of_the_paper():
    model = MixMIMTransformer({**SMALL, 'depths': [1, 1, 18, 1]}, window_size=[16] * 4, pad=True,
                              large_window_blocks={2: [5, 11, 17]})
    windows = [[block.attn.current_window for block in layer.blocks] for layer in model.layers]
    assert windows == [[(16, 16)]] * 2 + [([(16, 16)] * 5 + [(32, 32)]) * 3, [(16, 16)]]
    tables = [len(block.attn.relative_position_bias_table) for block in model.layers[2].blocks]
    assert tables == ([31**2] * 5 + [63**2]) * 3


@torch.no_grad()
def test_features_are_those_of_the_pre_training_encoder():
    """With its windows, which do not tile the second image."""
    stored = build(img_size=64)
    model = build(**{**DENSE, 'window_size': [4, 4, 4, 2], 'large_window': 4})
    left = model.load_state_dict(stored.state_dict(), strict=False)
    assert left.unexpected_keys == []
    assert left.missing_keys == [f'norm{stage}.{part}' for stage in range(3) for part in ('weight', 'bias')]
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images)[-1], stored(images)[0], atol=1e-5, rtol=1e-5)
    assert model(torch.randn(2, 3, 72, 40))[-1].isfinite().all()
    torch.testing.assert_close(model(images)[-1], stored(images)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_pads_are_zeros_behind_the_norm_and_take_part():
    attention = build(**DENSE).layers[0].blocks[0].attn
    attention.set_grid((5, 6), (4, 4))
    maps = torch.randn(2, 5, 6, 16)
    padded = F.pad(maps, (0, 0, 0, 2, 0, 3))
    stock = WindowMSA(16, (4, 4), 1)
    stock.load_state_dict(attention.state_dict())
    expected = torch.zeros_like(padded)
    for top in (0, 4):
        for left in (0, 4):
            window = padded[:, top:top + 4, left:left + 4].reshape(2, 16, 16)
            expected[:, top:top + 4, left:left + 4] = stock(window).view(2, 4, 4, 16)
    torch.testing.assert_close(attention(maps), expected[:, :5, :6], atol=1e-5, rtol=1e-5)


class TestWeightsOfPreTraining:

    def test_tables_are_resized_to_the_windows_of_each_block(self):
        stored, model = build(img_size=64), build(**DENSE)
        model.load_state_dict(stored.state_dict(), strict=False)
        for block, window in ((0, 4), (1, 6)):
            name = f'layers.2.blocks.{block}.attn.relative_position_bias_table'
            expected = resize_position_table(stored.state_dict()[name], (4, 4), (window, window))
            assert torch.equal(model.state_dict()[name], expected)

    @pytest.mark.parametrize('pre_trained', [64, 128])
    def test_positions_are_resized_from_the_grid_of_the_checkpoint(self, pre_trained):
        stored, model = build(img_size=pre_trained), build(**DENSE)
        model.load_state_dict(stored.state_dict(), strict=False)
        grid = pre_trained // 4
        table = sin_cos_position_embedding((grid, grid), 16)
        assert torch.equal(model.absolute_pos_embed, table)
        expected = F.interpolate(table[0].T.view(1, 16, grid, grid), (24, 40), mode='bicubic')
        torch.testing.assert_close(model.table_for((24, 40)), expected.flatten(2).transpose(1, 2))
        images = torch.randn(1, 3, 96, 160)
        maps = model(images)
        again = build(**DENSE)  # what a detector's own checkpoint brings, after other sizes were seen
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(images)[0], maps[0])

    def test_positions_can_be_made_anew(self):
        model = build(**DENSE, resize_positions=False)
        model(torch.randn(1, 3, 96, 160))
        assert torch.equal(model.absolute_pos_embed, sin_cos_position_embedding((24, 40), 16))

    def test_refuses_positions_of_an_unknown_rectangle(self):
        table = sin_cos_position_embedding((8, 16), 16)
        with pytest.raises(InputError, match='of 128 places is not that of a square, nor that of 16x16: state'):
            build(**DENSE).load_state_dict({'absolute_pos_embed': table}, strict=False)
        build(**{**DENSE, 'img_size': (32, 64)}).load_state_dict({'absolute_pos_embed': table}, strict=False)


def test_recomputation_changes_neither_outputs_nor_gradients():
    plain, frugal = build(**DENSE, drop_path_rate=.5), build(**DENSE, drop_path_rate=.5, with_cp=True)
    frugal.load_state_dict(plain.state_dict())
    images, results = torch.randn(4, 3, 48, 80), []
    for model in (plain, frugal):
        model.train()
        torch.manual_seed(1)
        features = model(images)[-1]
        features.square().sum().backward()
        results.append([features, *(value.grad for value in model.parameters() if value.grad is not None)])
    assert len(results[0]) > 50
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('options, message', [
    (dict(pad=True), 'pad=True came without a window_size'),
    (dict(window_size=[4, 4]), r'one side or 4, one for each stage, but is \[4, 4\]'),
    (dict(window_size=4, large_window_blocks={2: [2]}), r'stages with \[1, 1, 2, 1\] blocks, .* but has 2: \[2\]'),
    (dict(window_size=4, large_window_blocks={4: [0]}), r'but has 4: \[0\]'),
    (dict(out_indices=(4, )), 'stages from 0 to 3'),
    (dict(window_size=4, large_window_blocks={2: [1]}, large_window=3), 'windows of 3x3 tokens do not tile'),
])
def test_refuses(options, message):
    with pytest.raises(InputError, match=message):
        MixMIMTransformer(SMALL, img_size=64, **options)


def test_layers_for_layer_wise_decay():
    model = build(**DENSE)
    depths = {name: model.get_layer_depth(name)[0] for name, _ in model.named_parameters()}
    assert depths['layers.2.blocks.1.attn.qkv.weight'] == 4 and depths['norm0.weight'] == depths['norm.weight'] == 5
