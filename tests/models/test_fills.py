"""Fills, on the image and inside encoders."""
import copy

import pytest
import timm
import torch
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import ImageTokenFill, PatchTokenFill, TokenDropFill
from mim_plugins.models.fills import inside
from mim_plugins.registry import MODELS

VIT = dict(type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw',
           arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32))
SWIN = dict(type='mmpretrain.SwinTransformer', img_size=64, drop_path_rate=0., window_size=2,
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]))
SWIN_V2 = dict(type='mmpretrain.SwinTransformerV2', img_size=64, drop_path_rate=0., window_size=2,
               arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], extra_norm_every_n_blocks=0))
BEIT = dict(type='mmpretrain.BEiTViT', img_size=32, patch_size=8, out_type='raw', use_rel_pos_bias=False,
            use_shared_rel_pos_bias=True,
            arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32))


class Timm(nn.Module):
    """What a wrapper around a timm model looks like to a fill."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.timm_model = timm.create_model('vit_tiny_patch16_224', img_size=32, patch_size=8, embed_dim=12, depth=2,
                                            num_classes=0, global_pool='', **options)
        self.num_extra_tokens = 1

    def forward(self, images):
        return (self.timm_model(images), )


def encoder(config: dict | str) -> nn.Module:
    if isinstance(config, str):
        return Timm(dynamic_img_size=config == 'dynamic').eval()
    model = MODELS.build(config)
    model.init_weights()
    model.eval()
    return model


def attached(fill: nn.Module, model: nn.Module) -> nn.Module:
    fill.attach(model)
    fill.init_weights()
    return fill


def masks(batch: int, height: int, width: int) -> torch.Tensor:
    """As many masked units in every sample, in different places."""
    units = height * width
    return torch.stack([torch.randperm(units) < units // 2 for _ in range(batch)]).view(batch, height, width)


def last(features) -> torch.Tensor:
    return features if isinstance(features, torch.Tensor) else features[-1]


class TestImageTokenFill:

    def test_replaces_masked_pixels_only(self):
        fill, images = ImageTokenFill(), torch.randn(2, 3, 8, 16)
        fill.init_weights()
        mask = torch.tensor([[[True, False]], [[False, True]]])
        filled = fill(images, mask)
        assert torch.equal(filled[0, ..., 8:], images[0, ..., 8:])
        assert torch.equal(filled[1, ..., 8:], fill.mask_token[0].expand(3, 8, 8))

    def test_token_starts_small_and_learns(self):
        fill = ImageTokenFill(channels=4096)
        fill.init_weights()
        assert abs(fill.mask_token.std() - .02) < .002
        fill(torch.zeros(1, 4096, 4, 4), torch.tensor([[[True, False], [False, False]]])).sum().backward()
        assert torch.all(fill.mask_token.grad == 4)

    def test_zeros_on_request(self):
        fill = ImageTokenFill(learnable=False)
        fill.init_weights()
        mask = torch.tensor([[[True, False]]])
        filled = fill(torch.ones(1, 3, 8, 16), mask)
        assert not filled[..., :8].any() and filled[..., 8:].all()
        assert not list(fill.parameters()) and not fill.state_dict()


class TestPatchTokenFill:

    @pytest.mark.parametrize('config', [VIT, SWIN, SWIN_V2, BEIT, 'static', 'dynamic'])
    def test_masked_pixels_are_not_seen_and_the_token_learns(self, config):
        model = encoder(config)
        fill, images = attached(PatchTokenFill(), model), torch.randn(2, 3, 64, 64)
        images = images if config in (SWIN, SWIN_V2) else images[..., :32, :32]
        mask = masks(2, 2, 2)
        features = last(fill.encode(model, images, mask))
        pixels = mask.repeat_interleave(images.shape[-1] // 2, 1).repeat_interleave(images.shape[-1] // 2, 2)
        noise = torch.where(pixels[:, None], torch.randn_like(images), images)
        assert torch.equal(last(fill.encode(model, noise, mask)), features)
        assert not torch.allclose(last(model(images)), features)
        features.square().sum().backward()
        assert fill.mask_token.grad.any()

    def test_is_replaced_before_the_position_embedding(self):
        model = encoder(VIT)
        fill = attached(PatchTokenFill(), model)
        seen = []
        model.drop_after_pos.register_forward_hook(lambda module, inputs, output: seen.append(output))
        fill.encode(model, torch.randn(1, 3, 32, 32), torch.ones(1, 4, 4, dtype=torch.bool))
        expected = fill.mask_token.expand(1, 16, -1) + model.pos_embed[:, 1:]
        torch.testing.assert_close(seen[0][:, 1:], expected)

    @pytest.mark.parametrize('size', [(32, 48), (64, 32)])
    def test_any_rectangle(self, size):
        model = encoder(VIT)
        fill = attached(PatchTokenFill(), model)
        tokens = last(fill.encode(model, torch.randn(2, 3, *size), masks(2, size[0] // 16, size[1] // 16)))
        assert tokens.shape == (2, 1 + size[0] * size[1] // 64, 16)

    def test_the_encoder_is_itself_on_other_calls(self):
        model, images = encoder(VIT), torch.randn(2, 3, 32, 32)
        before, names = last(model(images)), list(model.state_dict())
        fill = attached(PatchTokenFill(), model)
        with pytest.raises(RuntimeError):
            fill.encode(model, images[:, :2], masks(2, 4, 4))  # an error on the way leaves no mask behind
        assert torch.equal(last(model(images)), before) and list(model.state_dict()) == names

    def test_a_copy_has_its_own_token(self):
        pair = nn.ModuleDict(dict(model=encoder(VIT)))
        pair['fill'] = attached(PatchTokenFill(), pair['model'])
        images, mask = torch.randn(2, 3, 32, 32), masks(2, 4, 4)
        before = last(pair['fill'].encode(pair['model'], images, mask))
        twin = copy.deepcopy(pair)
        nn.init.ones_(twin['fill'].mask_token)
        assert torch.equal(last(pair['fill'].encode(pair['model'], images, mask)), before)
        assert not torch.allclose(last(twin['fill'].encode(twin['model'], images, mask)), before)

    def test_starts_truncated(self):
        fill = attached(PatchTokenFill(bound=.02), encoder(VIT))
        assert 0 < fill.mask_token.abs().max() <= .02

    def test_what_pictures_show(self):
        fill, images, mask = attached(PatchTokenFill(), encoder(VIT)), torch.ones(1, 3, 32, 32), masks(1, 4, 4)
        assert torch.equal(fill(images, mask)[0, 0, ::8, ::8] == 0, mask[0])

    def test_refuses_encoders_without_such_a_place(self):
        with pytest.raises(InputError, match='without overlap, which ResNet has not: mask on the image'):
            PatchTokenFill().attach(MODELS.build(dict(type='mmpretrain.ResNet', depth=18)))

    def test_refuses_units_finer_than_patches(self):
        fill = attached(PatchTokenFill(), encoder(VIT))
        with pytest.raises(InputError, match='mask units of 4 px cannot be laid on patches of 8x8 px'):
            fill.check_unit(4)


class TestTokenDropFill:

    @pytest.mark.parametrize('config, size', [
        (VIT, (32, 32)), (VIT, (16, 48)), ('static', (32, 32)), ('dynamic', (16, 48))])
    def test_the_encoder_sees_visible_tokens_only(self, config, size):
        model = encoder(config)
        fill, images = attached(TokenDropFill(), model), torch.randn(2, 3, *size)
        mask, lengths = masks(2, size[0] // 8, size[1] // 8), []
        block = (model.layers if config is VIT else model.timm_model.blocks)[0]
        block.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
        tokens = fill.encode(model, images, mask)
        number = size[0] * size[1] // 64
        assert lengths == [1 + number // 2] and last(tokens).shape[1] == 1 + number // 2
        noise = torch.where(mask.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None], 0, images)
        assert torch.equal(last(fill.encode(model, noise, mask)), last(tokens))

    def test_nothing_dropped_is_the_plain_encoder(self):
        model, images = encoder(VIT), torch.randn(2, 3, 32, 32)
        fill = attached(TokenDropFill(), model)
        torch.testing.assert_close(last(fill.encode(model, images, torch.zeros(2, 4, 4).bool())), last(model(images)))

    def test_visible_tokens_come_in_the_order_of_the_grid(self):
        """Without blocks and norm the features are the embedded patches."""
        model = encoder({**VIT, 'final_norm': False})
        model.layers = nn.ModuleList([nn.Identity() for _ in range(2)])
        images, mask = torch.randn(2, 3, 32, 32), masks(2, 4, 4)
        plain = last(model(images))
        tokens = last(attached(TokenDropFill(), model).encode(model, images, mask))
        assert torch.equal(tokens[:, 1:].flatten(0, 1), plain[:, 1:][~mask.flatten(1)])
        assert torch.equal(tokens[:, 0], plain[:, 0])

    @pytest.mark.parametrize('config', [SWIN, BEIT, {**VIT, 'out_type': 'featmap'}])
    def test_refuses_encoders_that_need_all_tokens(self, config):
        with pytest.raises(InputError, match='TokenDropFill needs a plain ViT'):
            TokenDropFill().attach(MODELS.build(config))

    def test_refuses_masks_of_different_counts(self):
        model = encoder(VIT)
        mask = torch.zeros(2, 4, 4, dtype=torch.bool)
        mask[0, 0, 0] = True
        with pytest.raises(InputError, match='between 15 and 16 of 16 tokens visible'):
            attached(TokenDropFill(), model).encode(model, torch.randn(2, 3, 32, 32), mask)

    @pytest.mark.parametrize('inverted', [False, True])
    def test_a_device_is_not_waited_for_where_the_number_is_announced(self, inverted, monkeypatch):
        model, images, mask = encoder(VIT), torch.randn(2, 3, 32, 32), torch.zeros(2, 2, 2, dtype=torch.bool)
        mask[:, 0, 0] = True
        fill = attached(TokenDropFill(), model)
        expected = last(fill.encode(model, images, ~mask if inverted else mask))
        fill.expect(3, 4)
        monkeypatch.setattr(inside, '_on_host', lambda mask: False)
        monkeypatch.setattr(inside, 'visible_count', lambda *args: pytest.fail('waits for the device'))
        found = fill.encode(model, images, ~mask if inverted else mask, inverted=inverted)
        assert torch.equal(last(found), expected)
        mask[1, 0, 1] = True
        with pytest.raises(RuntimeError, match=f'must leave {1 if inverted else 3} of 4 units visible in every sample'):
            fill.encode(model, images, ~mask if inverted else mask, inverted=inverted)

    @pytest.mark.parametrize('announced, training', [((3, 4), False), ((5, 8), True), ((None, 4), True)])
    def test_other_masks_are_counted(self, announced, training, monkeypatch):
        """Masks of another ratio in an evaluation, or of another grid; or of a strategy whose ratio varies."""
        model, mask = encoder(VIT), torch.tensor([[[True, False], [True, False]]])
        fill = attached(TokenDropFill(), model).train(training)
        fill.expect(*announced)
        monkeypatch.setattr(inside, '_on_host', lambda mask: False)
        assert last(fill.encode(model, torch.randn(1, 3, 32, 32), mask)).shape[1] == 1 + 8


class TestNumbersThatAreNotCounted:

    def test_masks_are_not_inverted_unless_said(self, monkeypatch):
        model, images, mask = encoder(VIT), torch.randn(2, 3, 32, 32), torch.zeros(2, 2, 2, dtype=torch.bool)
        mask[:, 0, 0] = True
        fill = attached(TokenDropFill(), model)
        fill.expect(3, 4)
        monkeypatch.setattr(inside, '_on_host', lambda mask: False)
        assert last(fill.encode(model, images, mask)).shape[1] == 1 + 12

    def test_only_the_host_looks_at_masks_and_never_in_a_compiled_graph(self, monkeypatch):
        mask = torch.zeros(1, 2, 2, dtype=torch.bool)
        assert inside._on_host(mask) and not inside._on_host(mask.to('meta'))
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
        assert not inside._on_host(mask)
