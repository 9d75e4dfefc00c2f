"""Every family of encoders: pre-trained for two steps, converted, and read by a classifier, mmdet and mmseg."""
import importlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mim_plugins.models.backbones.blocks import BlockOutputs
from mim_plugins.registry import MODELS
from mim_plugins.transfer import load_encoder
from mim_plugins.transfer.conversion import convert, read_encoder, write_conversion
from mim_plugins.transfer.settings import in_config

PLAIN = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
STAGES = dict(embed_dims=8, depths=[2, 1, 1, 1], num_heads=[1, 1, 2, 2])
PYRAMID = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], mlp_ratios=[2, 2, 2, 2],
               sr_ratios=[8, 4, 2, 1])
# Name -> encoder, channels of its last output, its stride, extra tokens.
FAMILIES = {
    'vit': (dict(type='mim_plugins.SinCosVisionTransformer', arch=PLAIN, patch_size=16, out_type='raw'), 16, 16, 1),
    'mff': (dict(type='mim_plugins.MFFVisionTransformer', arch=PLAIN, patch_size=16, fused_layers=[0, 3]), 16, 16, 1),
    'beit': (dict(type='mim_plugins.ResizableBEiT', arch=PLAIN, patch_size=16, out_type='raw', final_norm=True,
                  use_rel_pos_bias=False, use_shared_rel_pos_bias=True, layer_scale_init_value=.1), 16, 16, 1),
    'convmae': (dict(type='mim_plugins.ConvMAEEncoder', arch=dict(
        embed_dims=[8, 8, 16], depths=[1, 1, 2], num_heads=2)), 16, 16, 0),
    'swin': (dict(type='mim_plugins.ResizableSwin', arch=STAGES, window_stride=32, out_indices=(3, )), 64, 32, 0),
    'swinv2': (dict(type='mim_plugins.ResizableSwinV2', arch={**STAGES, 'extra_norm_every_n_blocks': 0},
                    window_stride=32, out_indices=(3, )), 64, 32, 0),
    'mixmim': (dict(type='mim_plugins.MixMIMTransformer', arch=STAGES), 64, 32, 0),
    'pvt': (dict(type='mim_plugins.PyramidVisionTransformer', arch=PYRAMID), 16, 32, 0),
    'cmt': (dict(type='mim_plugins.CMT', arch={**PYRAMID, 'stem_channels': 4}, final_norm=True), 16, 32, 0),
    'twins': (dict(type='mim_plugins.TwinsSVT', arch=dict(
        embed_dims=[8, 8, 16, 16], depths=[2, 2, 2, 2], num_heads=[1, 1, 2, 2], patch_sizes=[4, 2, 2, 2],
        strides=[4, 2, 2, 2], mlp_ratios=[2, 2, 2, 2], sr_ratios=[4, 2, 1, 1], window_sizes=[2, 2, 2, 2]),
        norm_after_stage=[False, False, False, True]), 16, 32, 0),
    'pvtv2': (dict(type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b0'), 256, 32, 0),
    'timm-vit': (dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', embed_dim=16, depth=4,
                      num_heads=2), 16, 16, 1),
}
SIZE = 64


def pretrained(name: str) -> tuple[nn.Module, dict]:
    """A FastMIM of the family after two steps, in eval mode, and its config."""
    encoder, channels, stride, extra = FAMILIES[name]
    config = dict(
        type='mim_plugins.FastMIM', input_size=SIZE, backbone=encoder,
        data_preprocessor=dict(type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3,
                               mask=dict(unit=stride, ratio=.5)),
        fill=dict(type='mim_plugins.ImageTokenFill'), target_generator=dict(type='mim_plugins.HOGTarget'),
        neck=dict(type='mim_plugins.TransformerDecoder', in_channels=channels, stride=stride, num_extra_tokens=extra,
                  embed_dims=16, depth=1, num_heads=2),
        head=dict(type='mim_plugins.ReconstructionHead'))
    model = MODELS.build(config)
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=.01)
    for _ in range(2):
        batch = model.data_preprocessor(dict(
            inputs=torch.randint(256, (2, 3, SIZE, SIZE), dtype=torch.uint8), data_samples=[]), True)
        model.parse_losses(model(**batch, mode='loss'))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    model.train(False)
    return model, config


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Model and checkpoint of each family's pre-training, made when first asked for."""
    folder, made = tmp_path_factory.mktemp('runs'), {}

    def run(name: str) -> tuple[nn.Module, Path]:
        if name not in made:
            torch.manual_seed(0)
            model, config = pretrained(name)
            path = folder / f'{name}.pth'
            torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=Config(dict(model=config)).pretty_text)), path)
            made[name] = model, path
        return made[name]
    return run


@torch.no_grad()
def reference(name: str, model: nn.Module, images: Tensor) -> Tensor:
    """Features of the pre-training encoder, without what only pre-training has."""
    encoder = model.backbone
    if name == 'mff':
        with BlockOutputs(encoder.layers[-1:]).kept() as found:
            encoder(images)
        return encoder.ln1(found[0])
    if name == 'convmae':
        encoder.multi_scale_fusion, fused = False, encoder.multi_scale_fusion
        features = encoder(images)[-1]
        encoder.multi_scale_fusion = fused
        return features
    return encoder(images)[-1]


def in_classifier(settings: dict) -> nn.Module:
    model = MODELS.build(dict(type='mmpretrain.ImageClassifier', backbone=settings,
                              data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor')))
    model.train(False)
    return model


@pytest.mark.parametrize('name', FAMILIES)
def test_a_classifier_gets_the_features(name, runs, tmp_path):
    model, path = runs(name)
    done = convert(read_encoder(path), 'mmpretrain')
    write_conversion(done, tmp_path / 'encoder.pth')
    images = torch.randn(2, 3, SIZE, SIZE)
    for source in (tmp_path / 'encoder.pth', path):  # converted, or as the pre-training left it
        classifier = in_classifier(done.meta['encoder'])
        report = load_encoder(classifier.backbone, source)
        assert report.coverage == 1 and not report.resized
        with torch.no_grad():
            torch.testing.assert_close(classifier.extract_feat(images, stage='backbone')[-1],
                                       reference(name, model, images), atol=1e-5, rtol=1e-5)


def dense_backbone(path: Path, target: str, name: str, **options) -> nn.Module:
    """The encoder as a detector or segmenter has it, built by that package's registry."""
    done = convert(read_encoder(path), target)
    stride, extra = FAMILIES[name][2:]
    layers = PLAIN['num_layers'] if stride == 16 and name != 'convmae' else None
    settings = in_config(done.meta['encoder'], target, layers)
    if name in ('vit', 'mff'):
        settings.update(final_norm=True, with_cls_token=True)
    registry = importlib.import_module(f'{target}.registry')
    backbone = registry.MODELS.build({**settings, **options})
    backbone.train(False)
    return backbone


@pytest.mark.downstream
@pytest.mark.parametrize('target', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('name', FAMILIES)
def test_detectors_and_segmenters_get_the_features(name, target, runs):
    model, path = runs(name)
    backbone = dense_backbone(path, target, name)
    load_encoder(backbone, path)
    images = torch.randn(1, 3, SIZE, SIZE)
    expected = reference(name, model, images)
    if expected.ndim == 3:  # cls first
        expected = expected[:, 1:].transpose(1, 2).unflatten(-1, (4, 4))
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[-1], expected, atol=1e-5, rtol=1e-5)
        maps = backbone(torch.randn(1, 3, 96, 160))
    last = FAMILIES[name][2]
    assert len(maps) == (3 if name == 'convmae' else 4) and maps[-1].shape[-2:] == (96 // last, 160 // last)


# What a module made for another size resizes; the others compute their positions from the size.
@pytest.mark.downstream
@pytest.mark.parametrize('name, options, resized', [
    ('vit', dict(img_size=96), 'pos_embed'),
    ('beit', dict(img_size=96), 'layers.0.attn.relative_position_bias_table'),
    ('swin', dict(img_size=128), 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'),
    ('mixmim', dict(img_size=128, window_size=8), 'layers.0.blocks.0.attn.relative_position_bias_table'),
])
def test_another_size_is_told(name, options, resized, runs):
    backbone = dense_backbone(runs(name)[1], 'mmdet', name, **options)
    report = load_encoder(backbone, runs(name)[1])
    assert resized in report.resized and f'{len(report.resized)} resized ({report.resized[0]}' in str(report)
    side = options['img_size']
    with torch.no_grad():
        assert backbone(torch.randn(1, 3, side, side))[-1].isfinite().all()
