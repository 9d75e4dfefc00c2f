"""ConvMAE's encoder."""
import pytest
import torch
import torch.nn.functional as F

from mim_plugins.errors import InputError
from mim_plugins.models import ConvMAEEncoder
from mim_plugins.models.backbones.convmae import _ConvBlock
from mim_plugins.ops import random_masks, sin_cos_position_embedding

SMALL = dict(arch=dict(embed_dims=[8, 16, 24], depths=[1, 2, 2], num_heads=2), img_size=(32, 64))


def encoder(**options) -> ConvMAEEncoder:
    model = ConvMAEEncoder(**{**SMALL, **options})
    model.init_weights()
    return model.eval()


def test_the_masked_block_is_its_definition():
    block = _ConvBlock(8, 0.)
    maps, masked = .01 * torch.randn(2, 8, 6, 6), torch.rand(2, 1, 6, 6) > .5  # small: the norm's epsilon shows

    def norm(maps, layer):
        return F.layer_norm(maps.movedim(1, -1), (8, ), layer.weight, layer.bias, 1e-5).movedim(-1, 1)

    inner = F.conv2d(norm(maps, block.norm1), block.conv1.weight, block.conv1.bias) * ~masked
    inner = F.conv2d(inner, block.attn.weight, block.attn.bias, padding=2, groups=8)
    expected = maps + F.conv2d(inner, block.conv2.weight, block.conv2.bias)
    hidden = F.gelu(F.conv2d(norm(expected, block.norm2), block.mlp.fc1.weight, block.mlp.fc1.bias))
    expected = expected + F.conv2d(hidden, block.mlp.fc2.weight, block.mlp.fc2.bias)
    torch.testing.assert_close(block(maps, masked), expected)
    torch.testing.assert_close(block(maps, None), block(maps, torch.zeros_like(masked)))


def test_published_counts():
    values = {name: value.numel() for name, value in ConvMAEEncoder().state_dict().items()}
    skips = sum(number for name, number in values.items() if 'output_decode' in name)
    assert (sum(values.values()) - skips, skips) == (84_605_824, 4_326_912)


def test_weights_start_as_released():
    model = encoder()
    assert not any(layer.bias.any() for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    for layer, fans in ((model.patch_embed3.proj, 16 * 4 + 24), (model.patch_embed4, 24 + 24)):
        bound = (6 / fans)**.5  # Xavier-uniform
        assert .9 * bound < layer.weight.abs().max() <= bound


def test_stochastic_depth_rises_to_the_last_block():
    model = encoder(drop_path_rate=.4)
    rates = [block.drop_path.drop_prob for stage in (model.blocks1, model.blocks2) for block in stage]
    assert rates == pytest.approx([0, .1, .2])
    assert [block.drop_path2.drop_prob for block in model.blocks3] == pytest.approx([.3, .4])


@pytest.mark.parametrize('fusion', [True, False])
def test_an_empty_mask_is_no_mask(fusion):
    model, images = encoder(multi_scale_fusion=fusion), torch.randn(2, 3, 32, 64)
    tokens = model(images, torch.zeros(2, 2, 4, dtype=torch.bool))
    torch.testing.assert_close(tokens, model(images)[0].flatten(2).transpose(1, 2))


@pytest.mark.parametrize('fusion', [True, False])
def test_every_parameter_gets_a_gradient(fusion):
    model = encoder(multi_scale_fusion=fusion)
    model(torch.randn(2, 3, 32, 64), random_masks(2, (2, 4), .5)).square().mul(torch.rand(24)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize('fusion', [True, False])
def test_maps_of_all_stages(fusion):
    model = encoder(out_indices=(0, 1, 2), multi_scale_fusion=fusion)
    maps = model(torch.randn(2, 3, 32, 64))
    assert [tuple(stage.shape[1:]) for stage in maps] == [(8, 8, 16), (16, 4, 8), (24, 2, 4)]
    names = {name.split('.')[0] for name in model.state_dict()}
    assert ('stage1_output_decode' in names) == ('stage2_output_decode' in names) == fusion


def test_visible_tokens_come_in_order_and_see_each_other_only():
    model, images = encoder(), torch.randn(2, 3, 32, 64)
    mask = random_masks(2, (2, 4), .5)
    tokens = model(images, mask)
    assert tokens.shape == (2, 4, 24)
    pixels = mask.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    assert torch.equal(model(torch.where(pixels, torch.randn_like(images), images), mask), tokens)
    coarse = torch.tensor([[[True, False]], [[False, True]]])  # units of 32 px
    fine = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(model(images, coarse), model(images, fine))


def test_an_encoder_without_context_leaves_tokens_in_their_places():
    model = encoder(multi_scale_fusion=False)
    for stage in (model.blocks1, model.blocks2, model.blocks3):
        del stage[:]
    images, mask = torch.randn(2, 3, 32, 64), random_masks(2, (2, 4), .5)
    full = model(images)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(model(images, mask).flatten(0, 1), full[~mask.flatten(1)])


@pytest.mark.parametrize('size', [(48, 32), (64, 64)])
def test_another_size_without_being_told(size):
    """As detectors hand in images; the table that was set stays."""
    model, images = encoder(), torch.randn(1, 3, *size)
    untold = model(images)[0]
    assert model.pos_embed.shape[1] == 8
    model.set_input_size(size)
    assert torch.equal(model.pos_embed, sin_cos_position_embedding((size[0] // 16, size[1] // 16), 24))
    torch.testing.assert_close(model(images)[0], untold)


@pytest.mark.parametrize('channels', [1, 4, 8])
def test_any_number_of_channels(channels):
    assert encoder(in_channels=channels)(torch.randn(1, channels, 32, 64))[0].shape == (1, 24, 2, 4)


def test_layers_for_layer_wise_learning_rates():
    model = encoder()
    depths = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.') for name, _ in model.named_parameters()}
    assert {total for _, total in depths.values()} == {4}
    for name, (layer, _) in depths.items():
        expected = 3 if name.startswith('norm.') else int(name.split('.')[1]) + 1 if name.startswith('blocks3') else 0
        assert layer == expected
    assert model.get_layer_depth('head.weight', 'backbone.') == (3, 4)


@pytest.mark.parametrize('options, message', [
    (dict(arch='huge'), 'arch must be one of base or a dict with embed_dims, depths, num_heads of three stages, but'),
    (dict(arch=dict(embed_dims=[8, 16], depths=[1, 1], num_heads=2)), 'of three stages, but is'),
    (dict(out_indices=(3, )), r'stages from 0 to 2, but is \(3,\)'),
    (dict(out_indices=()), r'stages from 0 to 2, but is \(\)'),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ConvMAEEncoder(**{**SMALL, **options})


def test_bad_input_is_refused():
    model = encoder()
    with pytest.raises(InputError, match='multiples of 16 px, but got 40x64'):
        model(torch.zeros(1, 3, 40, 64))
    mask = torch.zeros(2, 2, 4, dtype=torch.bool)
    mask[0, 0, 0] = True
    with pytest.raises(InputError, match='between 7 and 8 of 8 tokens visible'):
        model(torch.zeros(2, 3, 32, 64), mask)
