"""Encoders at any size with parameters of constant shape."""
import pytest
import torch
from mmpretrain.models.utils import WindowMSA
from torch import nn

from mim_plugins.errors import InputError
from mim_plugins.models import ResizableBEiT, ResizableSwin, ResizableSwinV2, SinCosVisionTransformer
from mim_plugins.models.backbones import WindowAttention
from mim_plugins.models.backbones.depth import cut_depths
from mim_plugins.ops.positions import resize_position_table, sin_cos_position_embedding
from mim_plugins.registry import MODELS

SWIN = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 1, 2, 2])
SWIN_V2 = {**SWIN, 'extra_norm_every_n_blocks': 0}
VIT = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
SHARED = dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)

# Ours at 128 px, and what of mmpretrain it must equal there.
PAIRS = {
    'swin': (ResizableSwin, dict(arch=SWIN, window_stride=32, drop_path_rate=0.),
             dict(type='SwinTransformer', arch=SWIN, window_size=4, drop_path_rate=0.)),
    'swin v2': (ResizableSwinV2, dict(arch=SWIN_V2, window_stride=32, drop_path_rate=0.),
                dict(type='SwinTransformerV2', arch=SWIN_V2, window_size=4, drop_path_rate=0.)),
    'beit': (ResizableBEiT, dict(arch=VIT, out_type='raw', **SHARED),
             dict(type='BEiTViT', arch=VIT, out_type='raw', **SHARED)),
    'beit with tables': (ResizableBEiT, dict(arch=VIT, out_type='raw'),
                         dict(type='BEiTViT', arch=VIT, out_type='raw')),
    'vit': (SinCosVisionTransformer, dict(arch=VIT, out_type='raw'),
            dict(type='VisionTransformer', arch=VIT, out_type='raw')),
}


def build(name: str, **changes) -> nn.Module:
    cls, options, _ = PAIRS[name]
    model = cls(**{**options, 'img_size': 128, **changes})
    model.init_weights()
    for parameter in model.parameters():  # tables and layer scales that start at 0 would hide mistakes
        parameter.data.add_(.1 * torch.randn_like(parameter))
    model.eval()
    return model


def last(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model(images)[-1]


@pytest.mark.parametrize('name', PAIRS)
class TestAllEncoders:

    @pytest.mark.parametrize('size', [(128, 128), (128, 192)])
    def test_equals_mmpretrains_at_the_size_it_is_built_for(self, name, size):
        ours = build(name, img_size=size)
        theirs = MODELS.build({**PAIRS[name][2], 'img_size': size})
        theirs.load_state_dict(ours.state_dict(), strict=name != 'swin v2')  # whose tables are not stored
        theirs.eval()
        images = torch.randn(2, 3, *size)
        torch.testing.assert_close(last(ours, images), last(theirs, images), atol=1e-5, rtol=1e-4)

    def test_the_size_it_has_is_the_identity_and_another_one_comes_back(self, name):
        model, images = build(name), torch.randn(2, 3, 128, 128)
        before = last(model, images)
        model.set_input_size((128, 128))
        assert torch.equal(last(model, images), before)
        model.set_input_size((192, 160))
        model.set_input_size((128, 128))
        assert torch.equal(last(model, images), before)

    @pytest.mark.parametrize('size', [(160, 160), (96, 160), (192, 128), (130, 96)])
    def test_another_size_changes_no_shape_and_trains_everything(self, name, size):
        model = build(name)
        shapes = {key: p.shape for key, p in model.named_parameters()}
        model.set_input_size(size)
        last(model, torch.randn(1, 3, *size)).square().mean().backward()
        assert {key: p.shape for key, p in model.named_parameters()} == shapes
        assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []

    def test_the_state_dict_has_the_same_shapes_at_any_size(self, name):
        model = build(name)
        shapes = {key: value.shape for key, value in model.state_dict().items()}
        model.set_input_size((192, 160))
        assert {key for key, value in model.state_dict().items() if value.shape != shapes[key]} == (
            {'pos_embed'} if name == 'vit' else set())  # a fixed table, no parameter
        assert model.state_dict().keys() == shapes.keys()

    def test_a_checkpoint_of_another_size_loads(self, name, monkeypatch):
        def gone(*args, **kwargs):
            raise AssertionError('interp2d')
        monkeypatch.setattr('scipy.interpolate.interp2d', gone)
        small, large = build(name), build(name, img_size=192)
        nn.ModuleDict({'backbone': large}).load_state_dict(nn.ModuleDict({'backbone': small}).state_dict())
        images = torch.randn(1, 3, 192, 192)
        small.set_input_size((192, 192))
        torch.testing.assert_close(last(large, images), last(small, images), atol=1e-4, rtol=1e-3)

    def test_a_checkpoint_of_a_square_starts_a_rectangle(self, name, tmp_path):
        square = build(name)
        torch.save(square.state_dict(), tmp_path / 'square.pth')
        cls, options, _ = PAIRS[name]
        rectangle = cls(**options, img_size=(128, 192),
                        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'square.pth')))
        rectangle.init_weights()
        rectangle.eval()
        images = torch.randn(1, 3, 128, 192)
        square.set_input_size((128, 192))
        torch.testing.assert_close(last(rectangle, images), last(square, images), atol=1e-4, rtol=1e-3)

    def test_last_blocks_can_be_left_out(self, name):
        total = 3 if 'layers' in dict(build(name).named_children()) else 8
        whole, cut = build(name), build(name, depth=total - 1)
        assert set(cut.state_dict()) < set(whole.state_dict())
        missing = set(whole.state_dict()) - set(cut.state_dict())
        left_out = {key.split('.attn.')[0] for key in missing if '.attn.' in key}
        assert left_out == ({'layers.2'} if total == 3 else {'stages.3.blocks.1'})
        assert last(cut, torch.randn(1, 3, 128, 128)).isfinite().all()
        with pytest.raises(InputError, match=f'between 1 and the {total} blocks of the encoder, but is {total + 1}'):
            build(name, depth=total + 1)

    def test_unknown_archs_are_refused(self, name):
        with pytest.raises(InputError, match="or a dict, but is 'enormous'"):
            PAIRS[name][0](**{**PAIRS[name][1], 'arch': 'enormous'})
        with pytest.raises(InputError, match='must have (depths|num_layers), but has only embed_dims, num_heads'):
            PAIRS[name][0](**{**PAIRS[name][1], 'arch': dict(embed_dims=8, num_heads=2)})


class TestWindows:

    @pytest.mark.parametrize('cls, arch', [(ResizableSwin, SWIN), (ResizableSwinV2, SWIN_V2)])
    @pytest.mark.parametrize('stride, size, windows', [
        (32, (128, 128), [4, 4, 4, 4]), (32, (192, 192), [6, 6, 6, 6]), (32, (224, 224), [7, 7, 7, 7]),
        (16, (128, 128), [8, 8, 8, 4]), (16, (160, 160), [10, 10, 10, 5]), (16, (192, 192), [12, 12, 12, 6]),
        (32, (128, 192), [4, 4, 4, 4]),
    ])
    def test_follow_the_size(self, cls, arch, stride, size, windows):
        model = cls(arch=arch, img_size=128, window_stride=stride)
        model.set_input_size(size)
        for number, (stage, window) in enumerate(zip(model.stages, windows, strict=True)):
            assert [block.attn.window_size for block in stage.blocks] == [window] * 2
            shifted = min(size) // 4 // 2**number > window
            assert [block.attn.shift_size for block in stage.blocks] == [0, window // 2 if shifted else 0]

    @pytest.mark.parametrize('cls, arch', [(ResizableSwin, SWIN), (ResizableSwinV2, SWIN_V2)])
    def test_can_be_constant(self, cls, arch):
        model = cls(arch=arch, img_size=224, window_size=7)
        model.set_input_size((128, 128))
        assert [stage.blocks[0].attn.window_size for stage in model.stages] == [7, 7, 7, 4]

    @pytest.mark.parametrize('cls', [ResizableSwin, ResizableSwinV2])
    def test_must_be_stated_once_and_fit(self, cls):
        with pytest.raises(InputError, match='either window_size or window_stride'):
            cls(arch='tiny', img_size=224)
        with pytest.raises(InputError, match='either window_size or window_stride'):
            cls(arch='tiny', img_size=224, window_size=7, window_stride=32)
        with pytest.raises(InputError, match='144x160 have no whole windows'):
            cls(arch='tiny', img_size=(144, 160), window_stride=32)

    def test_tables_of_fastmim_p(self):
        model = ResizableSwin(arch=SWIN, img_size=128, window_stride=16, table_window=14)
        tables = {p.shape[0] for name, p in model.named_parameters() if name.endswith('bias_table')}
        assert tables == {27**2}

    def test_released_shapes_without_a_table_window(self):
        model = ResizableSwin(arch=SWIN, img_size=128, window_stride=16)
        tables = [stage.blocks[0].attn.w_msa.relative_position_bias_table.shape[0] for stage in model.stages]
        assert tables == [15**2] * 3 + [7**2]

    def test_stage_options_are_kept(self):
        model = ResizableSwin(
            arch=SWIN, img_size=128, window_stride=32,
            stage_cfgs=[dict(block_cfgs=dict(ffn_ratio=2.)), dict(block_cfgs=[dict(ffn_ratio=3.), {}]), {}, {}])
        widths = [[block.ffn.feedforward_channels for block in stage.blocks] for stage in model.stages]
        assert widths == [[16, 16], [48, 64], [128] * 2, [256] * 2]
        assert all(isinstance(block.attn.w_msa, WindowAttention) for stage in model.stages for block in stage.blocks)

    def test_stage_options_are_one_for_each_stage(self):
        with pytest.raises(InputError, match='each of the 4 stages, but there are 1'):
            ResizableSwin(arch=SWIN, img_size=128, window_stride=32, stage_cfgs=[{}])

    def test_tables_of_a_rectangle_are_not_resized(self):
        model = ResizableSwin(arch=SWIN, img_size=128, window_stride=32)
        name = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
        with pytest.raises(InputError, match='table of 15 rows is not one of a window of 2x2'):
            model.load_state_dict({name: torch.zeros(15, 1)}, strict=False)

    def test_layers_for_layer_wise_decay(self):
        model = ResizableSwin(arch=SWIN, img_size=128, window_stride=32)
        assert model.get_layer_depth('stages.2.blocks.1.attn.w_msa.qkv.weight') == (6, 10)


class TestWindowAttention:

    @pytest.mark.parametrize('masked', [False, True])
    def test_equals_mmpretrains(self, masked):
        ours, theirs = WindowAttention(16, (3, 4), 2), WindowMSA(16, (3, 4), 2)
        nn.init.normal_(ours.relative_position_bias_table)
        theirs.load_state_dict(ours.state_dict())
        tokens = torch.randn(6, 12, 16)
        mask = torch.randn(3, 12, 12) if masked else None
        torch.testing.assert_close(ours(tokens, mask), theirs(tokens, mask), atol=1e-5, rtol=1e-5)

    def test_attends_in_another_window_with_the_resized_table(self):
        ours, theirs = WindowAttention(16, (3, 3), 2, table_window=(5, 5)), WindowMSA(16, (3, 3), 2)
        nn.init.normal_(ours.relative_position_bias_table)
        state = {**ours.state_dict(), 'relative_position_index': theirs.relative_position_index}
        state['relative_position_bias_table'] = resize_position_table(
            ours.relative_position_bias_table, (5, 5), (3, 3))
        theirs.load_state_dict(state)
        tokens = torch.randn(4, 9, 16)
        torch.testing.assert_close(ours(tokens), theirs(tokens), atol=1e-5, rtol=1e-5)

    def test_bf16(self):
        attention, tokens = WindowAttention(16, (2, 2), 2), torch.randn(4, 4, 16)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed = attention(tokens, torch.zeros(2, 4, 4))
        torch.testing.assert_close(mixed.float(), attention(tokens), atol=.02, rtol=.05)


def test_the_fixed_embedding_is_made_for_each_size():
    model = build('vit')
    model.set_input_size((128, 192))
    assert torch.equal(model.pos_embed, sin_cos_position_embedding((8, 12), 16, 1))
    assert 'pos_embed' not in dict(model.named_parameters())


def test_beit_starts_as_simmims():
    model = ResizableBEiT(arch={**VIT, 'embed_dims': 128, 'feedforward_channels': 256}, img_size=32, **SHARED)
    model.init_weights()
    for number, layer in enumerate(model.layers, start=1):
        assert layer.attn.qkv.weight.detach().std() == pytest.approx(.02, rel=.05)
        for weight in (layer.attn.proj.weight, layer.ffn.layers[1].weight):
            assert weight.detach().std() == pytest.approx(.02 / (2 * number)**.5, rel=.05)
    assert not model.rel_pos_bias.relative_position_bias_table.any()


@pytest.mark.parametrize('size', [64, 128])
def test_beits_layers_take_over_the_shared_table(size):
    shared, own = build('beit'), ResizableBEiT(arch=VIT, img_size=size, out_type='raw')
    nn.ModuleDict({'backbone': own}).load_state_dict(nn.ModuleDict({'backbone': shared}).state_dict())
    own.eval()
    shared.set_input_size((size, size))
    images = torch.randn(1, 3, size, size)
    torch.testing.assert_close(last(own, images), last(shared, images), atol=1e-4, rtol=1e-3)


def test_the_fixed_embedding_is_there_from_the_start():
    assert torch.equal(
        SinCosVisionTransformer(arch=VIT, img_size=(32, 48)).pos_embed, sin_cos_position_embedding((2, 3), 16, 1))


@pytest.mark.parametrize('options', [SHARED, {}])
def test_beit_needs_the_cls_token_for_relative_positions(options):
    with pytest.raises(InputError, match='needs the cls token'):
        ResizableBEiT(arch=VIT, img_size=32, with_cls_token=False, **options)


@pytest.mark.parametrize('depth, kept', [(None, [2, 2, 6, 2]), (12, [2, 2, 6, 2]), (11, [2, 2, 6, 1]),
                                         (9, [2, 2, 5, 0]), (1, [1, 0, 0, 0])])
def test_blocks_are_cut_from_the_end(depth, kept):
    assert cut_depths([2, 2, 6, 2], depth) == kept


def test_swin_v2_starts_as_the_identity_and_small():
    model = ResizableSwinV2(arch={**SWIN_V2, 'embed_dims': 32}, img_size=64, window_stride=32)
    model.init_weights()
    block = model.stages[0].blocks[0]
    assert block.attn.w_msa.qkv.weight.detach().std() == pytest.approx(.02, rel=.1)
    assert not any(norm.weight.any() or norm.bias.any() for norm in (block.norm1, block.norm2))
