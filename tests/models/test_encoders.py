"""PVTv1, CMT, timm's encoders and mmpretrain's Twins: published counts, shapes, sizes."""
import pytest
import timm
import torch
from mmpretrain.models import SVT
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import CMT, PyramidVisionTransformer, TIMMEncoder
from mim_plugins.models.backbones import with_input_size
from mim_plugins.ops.positions import resize_pair_bias

STAGES = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_heads=[1, 2, 3, 4], mlp_ratios=[2, 2, 2, 2],
              sr_ratios=[8, 4, 2, 1])
SMALL = {
    'pvt': lambda **options: PyramidVisionTransformer(arch=STAGES, **options),
    'cmt': lambda **options: CMT(arch={**STAGES, 'stem_channels': 8}, **options),
    'timm pvtv2': lambda **options: TIMMEncoder(
        'pvt_v2_b0', embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4), **options),
    'timm convnext': lambda **options: TIMMEncoder(
        'convnext_atto', dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), **options),
    'timm resnet': lambda **options: TIMMEncoder('resnet10t', **options),
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def build(name: str, **options) -> nn.Module:
    model = SMALL[name](img_size=64, **options)
    model.init_weights()
    return model


class TestPublishedCounts:

    def test_pvt_large(self):
        model = PyramidVisionTransformer('large', with_cls_token=True)
        assert count(model) == 60_856_320
        assert count(model) + count(nn.Linear(512, 1000)) == 61_369_320
        # Without cls and its position, and mmdet's without the final norm.
        assert count(PyramidVisionTransformer('large')) == 60_854_272 + count(nn.LayerNorm(512))

    def test_cmt_small(self):
        head = nn.Sequential(nn.Conv2d(512, 1280, 1), nn.BatchNorm2d(1280), nn.Linear(1280, 1000))
        assert count(CMT('small')) + count(head) == 26_256_160
        assert count(CMT('small', img_size=128, final_norm=True)) == 24_059_584

    def test_pvtv2_b2(self):
        assert count(TIMMEncoder('pvt_v2_b2')) == 24_849_856

    @pytest.mark.parametrize('window', [7, 4])
    def test_twins_svt_large(self, window):
        arch = {**{key: SVT.arch_zoo['large'][key] for key in SVT.essential_keys}, 'window_sizes': [window] * 4}
        assert count(SVT(arch, qkv_bias=True, norm_after_stage=[False, False, False, True])) == 98_246_400


@pytest.mark.parametrize('name', SMALL)
class TestAllEncoders:

    @pytest.mark.parametrize('size', [(64, 64), (64, 96), (128, 32)])
    @pytest.mark.parametrize('channels', [1, 4])
    def test_gives_the_last_map_at_any_rectangle(self, name, size, channels):
        model = build(name, in_channels=channels)
        model.eval()
        features = model(torch.randn(2, channels, *size))
        assert isinstance(features, tuple) and features[-1].shape[2:] == (size[0] // 32, size[1] // 32)

    def test_trains_every_parameter(self, name):
        model = build(name)
        model(torch.randn(2, 3, 64, 96))[-1].square().mean().backward()
        assert [key for key, p in model.named_parameters() if p.grad is None] == []

    def test_another_size_changes_no_shape_and_comes_back(self, name):
        model, images = build(name), torch.randn(1, 3, 64, 64)
        model.eval()
        before, shapes = model(images)[-1], {key: value.shape for key, value in model.state_dict().items()}
        statistics = {key: value.clone() for key, value in model.named_buffers()}
        if hasattr(model, 'set_input_size'):
            model.set_input_size((96, 128))
        assert model(torch.randn(1, 3, 96, 128))[-1].isfinite().all()
        assert torch.equal(model(images)[-1], before)
        assert {key: value.shape for key, value in model.state_dict().items()} == shapes
        assert all(torch.equal(value, statistics[key]) for key, value in model.named_buffers())


@pytest.mark.parametrize('name', ['pvt', 'cmt'])
class TestOwnEncoders:

    def test_all_stages(self, name):
        maps = build(name, out_indices=(0, 1, 2, 3))(torch.randn(2, 3, 64, 96))
        assert [tuple(part.shape[1:]) for part in maps] == [(8, 16, 24), (16, 8, 12), (24, 4, 6), (32, 2, 3)]

    def test_constant_positions_stay_constant_at_another_size(self, name):
        """With tables of one value per head the size of the tables does not matter."""
        one, other = build(name), SMALL[name](img_size=(96, 160))
        for model in (one, other):
            for key, parameter in model.named_parameters():
                nn.init.constant_(parameter, .1 if 'pos' in key else .02)
            model.eval()
        images = torch.randn(1, 3, 128, 128)
        torch.testing.assert_close(one(images)[-1], other(images)[-1])

    def test_drop_path_rises(self, name):
        model = build(name, drop_path_rate=.4)
        rates = [module.drop_prob for module in model.modules() if type(module).__name__ == 'DropPath']
        assert max(rates) == pytest.approx(.4) and rates == sorted(rates)

    def test_layers_for_layer_wise_decay(self, name):
        model = build(name)
        assert model.get_layer_depth('stages.2.1.norm1.weight') == (4, 7)
        assert model.get_layer_depth('backbone.patch_embeds.0.norm.weight', 'backbone.') == (0, 7)
        assert model.get_layer_depth('patch_embeds.2.norm.weight') == (2, 7)
        assert model.get_layer_depth('norm.weight') == model.get_layer_depth('head.weight', 'backbone.') == (6, 7)
        depths = [model.get_layer_depth(key)[0] for key, _ in model.named_parameters()]
        assert set(depths) == ({*range(7)} if name == 'pvt' else {*range(6)})

    @pytest.mark.parametrize('arch, message', [
        ('enormous', "or a dict, but is 'enormous'"), ({**STAGES, 'heads': 3}, 'arch must state embed_dims'),
        ({**STAGES, 'stem_channels': 8, 'depths': [1, 1]}, 'for four stages')])
    def test_refuses_other_archs(self, name, arch, message):
        cls = type(build(name))
        with pytest.raises(InputError, match=message):
            cls(arch)

    @pytest.mark.parametrize('indices', [(), (-1, ), (0, 4)])
    def test_refuses_stages_that_are_not_there(self, name, indices):
        with pytest.raises(InputError, match='stages from 0 to 3, but is'):
            build(name, out_indices=indices)

    def test_refuses_sizes_that_do_not_divide(self, name):
        with pytest.raises(InputError, match='multiples of 32 px, but got 64x80'):
            build(name)(torch.zeros(1, 3, 64, 80))


def test_pvt_drops_a_branch_at_the_stated_rate():
    block = build('pvt', drop_path_rate=.4).stages[3][0]
    tokens = torch.randn(4000, 1, 32)
    unchanged = (block(tokens, (1, 1)) == tokens).all(dim=2)
    assert unchanged.float().mean().item() == pytest.approx(.4**2, abs=.03)  # both of its branches dropped


def test_pvt_with_a_cls_token():
    model = build('pvt', with_cls_token=True, out_type='cls_token')
    assert model(torch.randn(2, 3, 64, 96))[-1].shape == (2, 32)
    assert build('pvt', with_cls_token=True)(torch.randn(2, 3, 64, 96))[-1].shape == (2, 32, 2, 3)
    with pytest.raises(InputError, match="needs with_cls_token=True"):
        build('pvt', out_type='cls_token')
    with pytest.raises(InputError, match="out_type must be 'featmap' or 'cls_token', but is 'cls'"):
        build('pvt', out_type='cls')
    with pytest.raises(InputError, match=r'needs a last stage with sr_ratios of 1, but they are \[8, 4, 2, 2\]'):
        PyramidVisionTransformer({**STAGES, 'sr_ratios': [8, 4, 2, 2]}, with_cls_token=True)


def test_the_bias_of_pairs_is_resized_for_queries_and_keys():
    bias = torch.randn(2, 16, 4)
    grids = ((4, 4), (2, 2))
    assert resize_pair_bias(bias, grids, grids) is bias
    assert resize_pair_bias(bias, grids, ((6, 4), (3, 2))).shape == (2, 24, 6)
    rows = torch.arange(4.).repeat_interleave(4).view(1, 16, 1).expand(1, 16, 4)  # depends on the query's row only
    resized = resize_pair_bias(rows, grids, ((8, 4), (2, 2))).view(8, 4, 4)
    assert torch.equal(resized, resized[:, :1, :1].expand_as(resized)) and torch.all(resized[:, 0, 0].diff() > 0)


class TestTIMMEncoder:

    def test_maps_in_one_order(self):
        model = TIMMEncoder('swin_tiny_patch4_window7_224', img_size=64, embed_dim=8, depths=(2, 1, 1, 1),
                            num_heads=(1, 1, 1, 1), window_size=2)
        assert model(torch.randn(1, 3, 64, 96))[-1].shape == (1, 64, 2, 3) and model.num_extra_tokens == 0

    def test_refuses_a_size_that_would_replace_parameters(self):
        model = TIMMEncoder('beit_base_patch16_224', img_size=64, embed_dim=12, depth=1, num_heads=2)
        model.set_input_size((64, 64))
        with pytest.raises(InputError, match='beit_base_patch16_224, made for images of 64x64, does not take 96x96 in'):
            model.set_input_size((96, 96))
        assert model.training

    def test_refuses_a_size_that_the_model_cannot_be_made_for(self):
        options = dict(depths=(1, 1, 1, 1), embed_dims=(8, 16, 24, 32))
        assert TIMMEncoder('efficientformer_l1', **options)(torch.randn(2, 3, 224, 224))[-1].shape == (2, 49, 32)
        with pytest.raises(InputError, match='efficientformer_l1, made for images of 224x224, does not take 64x96 in'):
            TIMMEncoder('efficientformer_l1', img_size=(64, 96), **options)

    def test_trying_a_size_leaves_no_trace(self):
        model = TIMMEncoder('resnet10t', img_size=64, in_channels=4)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        model.set_input_size((64, 96))
        assert model.training and all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    def test_a_model_without_convolutions_takes_any_size(self):
        model = TIMMEncoder('naflexvit_base_patch16_gap', img_size=64, embed_dim=24, depth=1, num_heads=2)
        model.set_input_size((64, 96))
        assert model(torch.randn(1, 3, 64, 96))[-1].shape == (1, model.num_extra_tokens + 24, 24)

    def test_a_vit_takes_any_size(self):
        model = TIMMEncoder('vit_tiny_patch16_224', img_size=(64, 96), embed_dim=12, depth=1)
        assert model(torch.randn(1, 3, 64, 96))[-1].shape == (1, 1 + 24, 12) and model.num_extra_tokens == 1
        model.set_input_size((96, 96))
        assert model(torch.randn(1, 3, 96, 96))[-1].shape == (1, 1 + 36, 12)

    def test_equals_timm_with_its_checkpoint(self, tmp_path):
        options = dict(embed_dim=12, depth=1, img_size=64)
        plain = timm.create_model('vit_tiny_patch16_224', **options)
        torch.save(plain.state_dict(), tmp_path / 'weights.pth')
        model = TIMMEncoder('vit_tiny_patch16_224', checkpoint_path=str(tmp_path / 'weights.pth'), **options)
        model.init_weights()
        images = torch.randn(1, 3, 64, 64)
        torch.testing.assert_close(model(images)[-1], plain.forward_features(images))

    def test_refuses_unknown_models(self):
        with pytest.raises(InputError, match="timm has no model 'vit_enormous'"):
            TIMMEncoder('vit_enormous')
        with pytest.raises(TypeError, match='embed_dimm'):
            TIMMEncoder('vit_tiny_patch16_224', embed_dimm=12)
        with pytest.raises(InputError, match='cannot be made an encoder for images of 64x96: .*disable pooling'):
            TIMMEncoder('efficientvit_b0', img_size=(64, 96))


class TestInputSize:

    @pytest.mark.parametrize('name', ['CMT', 'PyramidVisionTransformer', 'TIMMEncoder'])
    def test_is_filled_in_unless_stated(self, name):
        config = dict(type=f'mim_plugins.{name}')
        assert with_input_size(config, (64, 96), 32) == {**config, 'img_size': (64, 96)}
        assert with_input_size({**config, 'img_size': 224}, (64, 96), 32)['img_size'] == 224

    def test_twins_reads_it_from_the_images(self):
        arch = {**STAGES, 'patch_sizes': [4, 2, 2, 2], 'strides': [4, 2, 2, 2], 'window_sizes': [4] * 4}
        config = dict(type='SVT', arch=arch, norm_after_stage=[False, False, False, True], drop_path_rate=0.)
        assert with_input_size(config, (128, 128), 32) == config
        model = SVT(**{key: value for key, value in config.items() if key != 'type'})
        wide = SVT(arch={**arch, 'window_sizes': [7] * 4}, norm_after_stage=config['norm_after_stage'])
        wide.load_state_dict(model.state_dict())
        for size in ((128, 128), (64, 96)):
            assert model(torch.randn(1, 3, *size))[-1].shape == (1, 32, size[0] // 32, size[1] // 32)
        model(torch.randn(2, 3, 64, 96))[-1].square().mean().backward()
        assert [key for key, p in model.named_parameters() if p.grad is None] == []
