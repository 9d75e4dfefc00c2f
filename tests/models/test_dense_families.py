"""Every family of encoders as backbone of a detector or segmenter: maps of any size, the pre-training's features."""
import pytest
import torch
from torch import nn

from mim_plugins.models import (
    CMT,
    ConvMAEEncoder,
    DenseVisionTransformer,
    MixMIMTransformer,
    PyramidVisionTransformer,
    ResizableBEiT,
    ResizableSwin,
    ResizableSwinV2,
    SinCosVisionTransformer,
    TIMMEncoder,
)

ALL = (0, 1, 2, 3)
PLAIN = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
SWIN = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 1, 2, 2])
SWIN_V2 = {**SWIN, 'extra_norm_every_n_blocks': 0}
MIXMIM = dict(embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4])
PYRAMID = dict(embed_dims=[8, 16, 32, 64], depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8], mlp_ratios=[2, 2, 2, 2],
               sr_ratios=[8, 4, 2, 1])
CONVMAE = dict(embed_dims=[8, 16, 32], depths=[1, 2, 2], num_heads=2)
PVT_V2 = dict(embed_dims=(8, 16, 32, 64), depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))

# The pre-training encoder at 128 px, the dense one of the same features there, and what the latter has more.
FAMILIES = {
    'vit': (lambda: SinCosVisionTransformer(PLAIN, img_size=128, out_type='featmap', with_cls_token=False),
            lambda **o: DenseVisionTransformer(PLAIN, 128, input_size=256, out_indices=ALL, window_size=8,
                                               global_blocks=[1, 3], relative_position='decomposed', final_norm=True,
                                               **o), 'attn.positions'),
    'beit': (lambda: ResizableBEiT(PLAIN, 128, out_type='featmap', use_rel_pos_bias=False,
                                   use_shared_rel_pos_bias=True),
             lambda **o: ResizableBEiT(PLAIN, 128, out_type='featmap', out_indices=list(ALL), **o), None),
    'swin': (lambda: ResizableSwin(SWIN, 128, window_stride=32, drop_path_rate=0.),
             lambda **o: ResizableSwin(SWIN, 128, window_size=4, out_indices=ALL, pad_small_map=True, **o), 'norm'),
    'swinv2': (lambda: ResizableSwinV2(SWIN_V2, 128, window_stride=32, drop_path_rate=0.),
               lambda **o: ResizableSwinV2(SWIN_V2, 128, window_size=4, out_indices=ALL, pad_small_map=True, **o),
               'norm'),
    'mixmim': (lambda: MixMIMTransformer(MIXMIM, 128),
               lambda **o: MixMIMTransformer(MIXMIM, 128, window_size=[8, 8, 8, 4], out_indices=ALL, out_norms=True,
                                             pad=True, **o), 'norm'),
    'convmae': (lambda: ConvMAEEncoder(CONVMAE, 128, multi_scale_fusion=False),
                lambda **o: ConvMAEEncoder(CONVMAE, 128, multi_scale_fusion=False, out_indices=(0, 1, 2),
                                           window_size=8, global_blocks=[1], **o), None),
    'pvt': (lambda: PyramidVisionTransformer(PYRAMID, 128),
            lambda **o: PyramidVisionTransformer(PYRAMID, 128, out_indices=ALL, **o), None),
    'cmt': (lambda: CMT({**PYRAMID, 'stem_channels': 8}, 128),
            lambda **o: CMT({**PYRAMID, 'stem_channels': 8}, 128, out_indices=ALL, **o), None),
    'timm': (lambda: TIMMEncoder('pvt_v2_b0', 128, **PVT_V2),
             lambda **o: TIMMEncoder('pvt_v2_b0', 128, out_indices=ALL, **PVT_V2, **o), None),
}


def build(make, **options) -> nn.Module:
    model = make(**options)
    model.init_weights()
    for name, parameter in model.named_parameters():  # tables that start at 0 would hide mistakes
        if 'attn.positions' not in name:
            parameter.data.add_(.1 * torch.randn_like(parameter))
    model.eval()
    return model


@pytest.mark.parametrize('family', FAMILIES)
class TestEveryFamily:

    @torch.no_grad()
    def test_gives_the_features_of_the_pre_training_encoder(self, family):
        make_stored, make_dense, new = FAMILIES[family]
        stored, dense = build(make_stored), build(make_dense)
        left = dense.load_state_dict(stored.state_dict(), strict=False)
        assert not left.unexpected_keys
        assert all(new is not None and new in name for name in left.missing_keys)
        images = torch.randn(2, 3, 128, 128)
        torch.testing.assert_close(dense(images)[-1], stored(images)[-1], atol=1e-5, rtol=1e-5)

    def test_maps_of_two_sizes_and_back(self, family):
        dense = build(FAMILIES[family][1])
        plain, stages = family in ('vit', 'beit'), 3 if family == 'convmae' else 4
        shapes = {name: value.shape for name, value in dense.named_parameters()}
        images = torch.randn(1, 3, 128, 128)
        first = dense(images)
        for height, width in ((96, 160), (192, 64)):
            maps = dense(torch.randn(2, 3, height, width))
            assert all(part.is_contiguous() for part in maps)  # mmcv's RoIAlign takes it for granted
            strides, widths = ([16] * 4, [16] * 4) if plain else ([4, 8, 16, 32], [8, 16, 32, 64])
            assert [part.shape for part in maps] == [
                (2, channels, height // stride, width // stride)
                for channels, stride in zip(widths[:stages], strides[:stages], strict=True)]
        sum((part**3).sum() for part in maps).backward()
        assert [name for name, value in dense.named_parameters() if value.grad is None] == []
        assert {name: value.shape for name, value in dense.named_parameters()} == shapes
        for one, other in zip(dense(images), first, strict=True):
            assert torch.equal(one, other)

    def test_recomputation_changes_neither_outputs_nor_gradients(self, family):
        models = [build(FAMILIES[family][1], drop_path_rate=.5, with_cp=with_cp) for with_cp in (False, True)]
        models[1].load_state_dict(models[0].state_dict())
        images, results = torch.randn(4, 3, 96, 128, dtype=torch.float64), []
        for model in models:
            model.train()
            model.double()
            torch.manual_seed(1)
            maps = model(images)
            sum((part**3).sum() for part in maps).backward()
            results.append([*maps, *(value.grad for value in model.parameters())])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize('family, make', [
    ('pvt', lambda size: PyramidVisionTransformer(PYRAMID, size)),
    ('cmt', lambda size: CMT({**PYRAMID, 'stem_channels': 8}, size)),
])
def test_learned_tables_of_another_size_are_resized(family, make):
    """On the way in or inside the forward: the same features."""
    stored, other = build(lambda: make(64)), build(lambda: make((128, 96)))
    nn.ModuleDict({'backbone': other}).load_state_dict(nn.ModuleDict({'backbone': stored}).state_dict())
    images = torch.randn(2, 3, 128, 96)
    torch.testing.assert_close(other(images)[-1], stored(images)[-1], atol=1e-4, rtol=1e-4)
