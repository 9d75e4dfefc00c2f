"""ConvMAE's encoder for dense prediction: windows among global ViT blocks, positions of the pre-training."""
import pytest
import torch
from timm.models.vision_transformer import Attention

from mim_plugins.errors import InputError
from mim_plugins.models import ConvMAEEncoder
from mim_plugins.ops import random_masks, resize_position_embedding, sin_cos_position_embedding

SMALL = dict(arch=dict(embed_dims=[8, 16, 24], depths=[1, 2, 3], num_heads=2), img_size=(64, 64))
DENSE = dict(multi_scale_fusion=False, out_indices=(0, 1, 2), window_size=3, global_blocks=[1])


def encoder(**options) -> ConvMAEEncoder:
    model = ConvMAEEncoder(**{**SMALL, **options})
    model.init_weights()
    return model.eval()


def test_windows_of_the_paper():
    narrow = {**SMALL['arch'], 'depths': ConvMAEEncoder.arch_zoo['base']['depths']}
    model, plain = (ConvMAEEncoder(narrow, multi_scale_fusion=False, window_size=window) for window in (16, None))
    windows = [getattr(block.attn, 'window', None) for block in model.blocks3]
    assert windows == [None, *[(16, 16)] * 2] * 3 + [(16, 16), None]
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in plain.state_dict().items()}


@pytest.mark.parametrize('size', [(64, 64), (96, 160), (16, 48)])
def test_maps_of_all_stages_train_everything(size):
    model = encoder(**DENSE)
    maps = model(torch.randn(2, 3, *size))
    assert [part.shape for part in maps] == [
        (2, width, size[0] // stride, size[1] // stride) for width, stride in ((8, 4), (16, 8), (24, 16))]
    sum((part**3).sum() for part in maps).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@torch.no_grad()
def test_features_are_those_of_the_pre_training_encoder_in_a_window_as_large_as_the_map():
    stored, model = encoder(), encoder(**{**DENSE, 'window_size': 4})
    left = model.load_state_dict(stored.state_dict(), strict=False)
    assert left.missing_keys == []
    assert {name.split('.')[0] for name in left.unexpected_keys} == {'stage1_output_decode', 'stage2_output_decode'}
    plain = encoder(multi_scale_fusion=False)
    plain.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images)[-1], plain(images)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_pads_are_zeros_behind_the_norm_and_take_part():
    attention = encoder(**DENSE).blocks3[0].attn
    attention.grid = (2, 4)
    tokens = torch.randn(2, 8, 24)
    padded = torch.zeros(2, 3, 6, 24)
    padded[:, :2, :4] = tokens.view(2, 2, 4, 24)
    windows = [Attention.forward(attention, padded[:, :, left:left + 3].reshape(2, 9, 24)).view(2, 3, 3, 24)
               for left in (0, 3)]
    expected = torch.cat(windows, dim=2)[:, :2, :4].reshape(2, 8, 24)
    torch.testing.assert_close(attention(tokens), expected)


@pytest.mark.parametrize('pre_trained', [64, 96])
def test_positions_are_resized_from_the_grid_of_the_checkpoint(pre_trained):
    stored, model = encoder(img_size=pre_trained), encoder(**DENSE)
    model.load_state_dict(stored.state_dict(), strict=False)
    side = pre_trained // 16
    table = sin_cos_position_embedding((side, side), 24)
    assert torch.equal(model.pos_embed, table)
    model.set_input_size((128, 64))
    assert torch.equal(model.table_for((5, 7)), resize_position_embedding(table, (side, side), (5, 7)))
    anew = encoder(**DENSE, resize_positions=False)
    assert torch.equal(anew.table_for((5, 7)), sin_cos_position_embedding((5, 7), 24))


def test_recomputation_changes_neither_outputs_nor_gradients():
    plain, frugal = (encoder(**DENSE, drop_path_rate=.5, with_cp=with_cp) for with_cp in (False, True))
    frugal.load_state_dict(plain.state_dict())
    images, results = torch.randn(4, 3, 48, 80), []
    for model in (plain.train(), frugal.train()):
        torch.manual_seed(1)
        features = model(images)[-1]
        features.square().sum().backward()
        results.append([features, *(value.grad for value in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_refuses():
    with pytest.raises(InputError, match=r'some of 3 ViT blocks, counted from 0, but is \(0, 3, 6, 10\)'):
        encoder(window_size=3)
    with pytest.raises(InputError, match='a mask came to an encoder with a window_size'):
        encoder(**DENSE)(torch.randn(2, 3, 64, 64), random_masks(2, (4, 4), .5))
