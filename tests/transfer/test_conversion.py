"""Encoders out of made-up checkpoints in the layouts of released ones and of this package's trainings."""
import copy
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS
from mim_plugins.transfer.conversion import convert, describe, read_encoder, write_conversion
from mim_plugins.transfer.deduction import deduced_settings
from mim_plugins.transfer.layouts import from_unfolded, to_unfolded
from mim_plugins.transfer.settings import encoder_settings, for_transfer, in_config, stored_model

from .made_up import (
    STAGES,
    SWIN,
    fastmim_cmt,
    fastmim_pvtv2,
    fastmim_swin,
    fastmim_vit,
    mae,
    mixmim,
    simmim,
    simmim_swin,
    simmim_vit,
    swin,
    swin_classifier,
    timm_swin,
    varied,
)


@torch.no_grad()
def features(model: nn.Module, images: Tensor) -> Tensor:
    """Of timm's models or of ours."""
    if not hasattr(model, 'forward_features'):
        return model(images)[-1]
    found = model.forward_features(images)
    return found.permute(0, 3, 1, 2) if found.ndim == 4 else found


def saved(path: Path, weights: dict, key: str = 'model') -> Path:
    torch.save({key: weights, 'epoch': 3}, path)
    return path


@pytest.mark.parametrize('make, size', [
    (simmim_swin, 64), (simmim_vit, 32), (swin_classifier, 64), (timm_swin, 64), (fastmim_swin, 64), (fastmim_vit, 32),
    (mae, 32), (mixmim, 64), (fastmim_cmt, 64), (fastmim_pvtv2, 64)])
def test_a_released_layout_gives_the_same_features(make, size, tmp_path):
    model, weights, layout = make()
    stored = read_encoder(saved(tmp_path / 'a.pth', weights), num_heads=2 if make in (fastmim_vit, mae) else None)
    assert stored.layout == layout
    done = convert(stored, 'plain')
    assert not done.report.new and not done.report.resized
    assert not any('mask_token' in name or 'decoder' in name or name.startswith('neck') for name in done.weights)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(done.encoder(images)[-1], features(model, images), atol=1e-5, rtol=1e-5)


def test_swinv2_gives_the_same_features(tmp_path):
    model, weights = swin('swinv2_tiny_window8_256', depths=(1, 1, 1, 1))
    with pytest.raises(InputError, match='do not tell the windows that it was trained with'):
        read_encoder(saved(tmp_path / 'timm.pth', weights))
    for stage in range(4):  # as its authors store it
        weights[f'layers.{stage}.blocks.0.attn.relative_position_index'] = torch.zeros(4, 4, dtype=torch.int64)
    stored = read_encoder(saved(tmp_path / 'a.pth', simmim(weights, 8)))
    assert stored.settings['img_size'] == 64 and stored.settings['window_size'] == 2
    done = convert(stored, 'plain')
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(features(done.encoder, images), features(model, images), atol=1e-5, rtol=1e-5)
    theirs = convert(stored, 'timm')
    assert all(torch.equal(theirs.weights[name], tensor) for name, tensor in model.state_dict().items())
    write_conversion(theirs, tmp_path / 'timm.pth')  # under timm's names it comes back in our order
    back = convert(read_encoder(tmp_path / 'timm.pth'), 'plain')
    torch.testing.assert_close(features(back.encoder, images), features(model, images), atol=1e-5, rtol=1e-5)
    larger = convert(stored, 'plain', input_size=(128, 128), window_size=4)
    reference = timm.create_model('swinv2_tiny_window8_256', **{
        **SWIN, 'depths': (1, 1, 1, 1), 'img_size': 128, 'window_size': 4, 'pretrained_window_sizes': (2, 2, 2, 2)})
    reference.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 128, 128)
    torch.testing.assert_close(features(larger.encoder, images), features(reference.eval(), images), atol=1e-5,
                               rtol=1e-5)


def test_orders_of_merged_patches_are_inverse():
    values = torch.arange(24.).view(2, 12)
    assert to_unfolded(values)[0, :4].tolist() == [0, 6, 3, 9]  # channel 0 of (0, 0), (0, 1), (1, 0), (1, 1)
    assert torch.equal(from_unfolded(to_unfolded(values)), values)


@pytest.mark.parametrize('make', [simmim_swin, simmim_vit, fastmim_vit, fastmim_pvtv2])
def test_timm_gets_what_it_had(make, tmp_path):
    model, weights, _ = make()
    done = convert(read_encoder(saved(tmp_path / 'a.pth', weights), 2 if make is fastmim_vit else None), 'timm')
    write_conversion(done, tmp_path / 'timm.pth')
    theirs = timm.create_model(**done.meta['timm'], checkpoint_path=str(tmp_path / 'timm.pth')).eval()
    images = torch.randn(1, 3, *(done.meta['encoder'].get('img_size', 64), ) * 2)
    reference = model.timm_model if hasattr(model, 'timm_model') else model
    with torch.no_grad():
        torch.testing.assert_close(theirs.forward_features(images), reference.forward_features(images), atol=1e-5,
                                   rtol=1e-5)
    assert f"checkpoint_path='{tmp_path / 'timm.pth'}'" in describe(done, tmp_path / 'timm.pth')


def run_checkpoint(path: Path, model: dict, **meta) -> tuple[nn.Module, Path]:
    """A checkpoint as a pre-training run leaves it."""
    built = MODELS.build(copy.deepcopy(model))
    built.init_weights()
    varied(built)
    cfg = Config(dict(model=model, base_lr=1.5e-4)).pretty_text
    torch.save(dict(state_dict=built.state_dict(), meta=dict(cfg=cfg, epoch=1, **meta), message_hub={}), path)
    return built, path


def test_a_run_gives_its_encoder_under_every_name(small_config, tmp_path):
    model, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    stored = read_encoder(path)
    assert stored.layout is None and stored.settings['img_size'] == (32, 32) and len(stored.sha256) == 64
    images = torch.randn(1, 3, 32, 32)
    for target in ('mmpretrain', 'mmdet', 'mmseg', 'plain', 'timm'):
        done = convert(stored, target)
        with torch.no_grad():
            torch.testing.assert_close(done.encoder(images)[0], model.backbone(images)[0], atol=1e-5, rtol=1e-5)
        prefixed = all(name.startswith('backbone.') for name in done.weights)
        assert prefixed == (target in ('mmpretrain', 'mmdet', 'mmseg'))
    assert done.meta['sha256'] == stored.sha256 and done.meta['source'] == 'epoch_1.pth'
    assert "type='mim_plugins.DenseVisionTransformer'" in describe(convert(stored, 'mmdet'), 'out.pth')


def test_a_converted_file_is_converted_again(small_config, tmp_path):
    model, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    for target in ('mmdet', 'plain'):
        write_conversion(convert(read_encoder(path), target), tmp_path / 'encoder.pth')
        done = convert(read_encoder(tmp_path / 'encoder.pth'), 'plain')
        assert torch.equal(done.weights['cls_token'], model.backbone.cls_token)


def test_windows_of_smaller_maps_are_understood(tmp_path):
    model, weights = swin(window_size=4)  # the last map of 2 x 2 has a window of its own
    stored = read_encoder(saved(tmp_path / 'a.pth', simmim(weights, 8)))
    assert (stored.settings['img_size'], stored.settings['window_size']) == (64, 4)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(features(convert(stored, 'plain').encoder, images), features(model, images), atol=1e-5,
                               rtol=1e-5)


def test_rectangles_that_timm_cuts_otherwise_are_refused(tmp_path):
    stored = read_encoder(saved(tmp_path / 'a.pth', simmim_swin()[1]))
    convert(stored, 'timm', input_size=(64, 128))
    with pytest.raises(InputError, match='windows of 4x4 do not fit the last map of images of 64x128'):
        convert(stored, 'timm', input_size=(64, 128), window_size=4)


def test_names_alone_tell_an_encoder(small_config, tmp_path):
    model, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    bare = convert(read_encoder(path), 'plain').weights
    for weights in (bare, {f'backbone.{name}': tensor for name, tensor in bare.items()}):
        stored = read_encoder(saved(tmp_path / 'bare.pth', weights, 'state_dict'), num_heads=2)
        assert stored.settings['img_size'] == 32 and torch.equal(stored.weights['cls_token'], model.backbone.cls_token)


def test_other_features_are_not_written_for_timm(tmp_path, monkeypatch):
    stored = read_encoder(saved(tmp_path / 'a.pth', simmim_swin()[1]))
    monkeypatch.setattr('mim_plugins.transfer.timm_export.from_unfolded', lambda tensor: tensor)
    with pytest.raises(InputError, match="timm's model gives other features than the encoder: they differ by"):
        convert(stored, 'timm')


def test_a_table_of_another_window_goes_to_timm_in_the_windows_size(small_config, tmp_path):
    small_config.update(
        input_size=64, backbone=dict(type='mim_plugins.ResizableSwin', arch=STAGES, window_stride=32, table_window=7,
                                     out_indices=(3, )),
        data_preprocessor={**small_config['data_preprocessor'], 'mask': dict(unit=32, ratio=.5)},
        neck=dict(type='mim_plugins.LinearDecoder', in_channels=64, stride=32))
    _, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    table = 'layers.0.blocks.0.attn.relative_position_bias_table'
    assert convert(read_encoder(path), 'timm').weights[table].shape == (9, 1)


def test_timms_own_encoders_change_their_size(small_config, tmp_path):
    small_config['backbone'] = dict(type='mim_plugins.TIMMEncoder', model_name='vit_tiny_patch16_224', patch_size=8,
                                    embed_dim=16, depth=2, num_heads=2)
    _, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    done = convert(read_encoder(path), 'mmpretrain', input_size=(64, 64))
    assert done.report.resized == ('timm_model.pos_embed', )
    assert done.encoder(torch.zeros(1, 3, 64, 64))[0].shape[1] == 65


@pytest.mark.parametrize('kind, serving', [
    ('SimMIMSwinTransformer', 'SwinTransformer'), ('MAEViT', 'VisionTransformer'),
    ('MixMIMPretrainTransformer', 'MixMIMTransformer')])
def test_mmpretrains_own_pretraining_gives_encoders_that_serve(kind, serving):
    settings = encoder_settings(dict(backbone=dict(type=kind, arch='base', mask_ratio=.75)))
    found = for_transfer(settings)
    assert found['type'] == f'mmpretrain.{serving}' and 'mask_ratio' not in found


def test_a_resnet_gives_its_last_four_levels():
    settings = dict(type='mim_plugins.TIMMEncoder', model_name='resnet10t')
    assert in_config(settings, 'mmdet', stages=5)['out_indices'] == [1, 2, 3, 4]


@pytest.mark.parametrize('text, model', [
    ("a = 1\nmodel = dict(b=dict({2: [5, 11]}), c=[dict(d=-1.5), ('e', None)])", dict(b={2: [5, 11]}, c=[
        dict(d=-1.5), ['e', None]])),
    ("model = dict(b=1, **dict(c=2))", dict(b=1, c=2)),
    ('b = 1', None),
])
def test_the_model_of_a_stored_config_is_read(text, model):
    assert stored_model(dict(cfg=text)) == model


def test_heads_are_told_or_assumed_aloud(small_config, tmp_path):
    model, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    write_conversion(convert(read_encoder(path), 'timm'), tmp_path / 'timm.pth')
    assert read_encoder(tmp_path / 'timm.pth').settings['arch']['num_heads'] == 2  # one per 64 channels would be 1
    _, weights, _ = fastmim_vit()
    released = saved(tmp_path / 'a.pth', weights)
    assert '1 attention heads were assumed' in describe(convert(read_encoder(released), 'plain'), 'out.pth')
    assert 'assumed' not in describe(convert(read_encoder(released, num_heads=2), 'plain'), 'out.pth')
    with pytest.raises(InputError, match='an encoder of width 32 cannot have 5 attention heads'):
        read_encoder(released, num_heads=5)


@pytest.mark.parametrize('layout, width, heads', [('MAE', 1280, 16), ('FastMIM', 768, 6), ('MAE', 768, 12)])
def test_known_encoders_have_their_heads(layout, width, heads):
    weights = {'layers.0.attn.qkv.weight': None, 'layers.0.ffn.layers.0.0.weight': torch.empty(8, width, device='meta'),
               'pos_embed': torch.empty(1, 17, width, device='meta'), 'cls_token': None,
               'patch_embed.projection.weight': torch.empty(width, 1, 8, 8, device='meta')}
    found = deduced_settings(weights, layout=layout)
    assert found['arch']['num_heads'] == heads and found['in_channels'] == 1 and found['img_size'] == 32


def test_the_teacher_of_a_released_file_is_taken(tmp_path):
    _, weights, _ = mae()
    encoder = {f'backbone.{name}': tensor for name, tensor in weights.items() if not name.startswith(('dec', 'mask'))}
    torch.save(dict(student={'a': torch.zeros(1)}, teacher=encoder), tmp_path / 'dino.pth')
    assert torch.equal(read_encoder(tmp_path / 'dino.pth').weights['cls_token'], weights['cls_token'])


def test_left_out_blocks_start_at_random(small_config, tmp_path):
    small_config['backbone']['depth'] = 1
    model, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    first, again, other = (convert(read_encoder(path), 'mmpretrain', seed=seed) for seed in (0, 0, 1))
    assert first.meta['started_at_random'] and all(
        name.startswith('layers.1.') for name in first.meta['started_at_random'])
    name = 'backbone.layers.1.attn.qkv.weight'
    assert torch.equal(first.weights[name], again.weights[name])
    assert not torch.equal(first.weights[name], other.weights[name])
    assert torch.equal(first.weights['backbone.layers.0.ln1.bias'], model.backbone.layers[0].ln1.bias)


def test_another_size_is_made_in_the_file(small_config, tmp_path):
    _, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    done = convert(read_encoder(path), 'mmpretrain', input_size=(32, 64))
    assert done.report.resized == ('pos_embed', ) and done.weights['backbone.pos_embed'].shape == (1, 33, 16)
    assert done.encoder(torch.zeros(1, 3, 32, 64))[0].shape == (1, 33, 16)
    assert '1 resized (pos_embed)' in describe(done, 'out.pth') and done.meta['resized'] == ['pos_embed']


def test_windows_and_shared_biases_follow_the_size(tmp_path):
    _, weights, _ = simmim_swin()
    stored = read_encoder(saved(tmp_path / 'swin.pth', weights))
    done = convert(stored, 'mmdet', input_size=(128, 128), window_size=4)
    assert len(done.report.resized) == 6
    assert done.weights['backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table'].shape == (49, 1)
    _, weights, _ = simmim_vit()
    stored = read_encoder(saved(tmp_path / 'vit.pth', weights))
    done = convert(stored, 'mmpretrain', input_size=(64, 64))
    tables = [done.weights[f'backbone.layers.{layer}.attn.relative_position_bias_table'] for layer in (0, 1)]
    assert torch.equal(*tables) and tables[0].shape == (15 * 15 + 3, 2) and not done.report.new


def test_what_is_wrong_is_told(small_config, tmp_path):
    torch.save(dict(some=torch.zeros(1)), tmp_path / 'other.pth')
    with pytest.raises(InputError, match='other.pth has an unknown layout: .* its tensors are some'):
        read_encoder(tmp_path / 'other.pth')
    _, path = run_checkpoint(tmp_path / 'epoch_1.pth', small_config)
    stored = read_encoder(path)
    with pytest.raises(InputError, match="must be one of mmpretrain, .* but is 'keras'"):
        convert(stored, 'keras')
    with pytest.raises(InputError, match='VisionTransformer has no windows'):
        convert(stored, 'plain', window_size=7)
    done = convert(stored, 'plain')
    del stored.weights['layers.1.ln1.weight']
    with pytest.raises(InputError, match='does not hold the whole encoder: layers.1.ln1.weight are missing'):
        convert(stored, 'plain')
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match='cut.pth is not a checkpoint, or one that was cut short'):
        read_encoder(cut)
    _, weights, _ = mixmim()
    with pytest.raises(InputError, match='of whole patches of 8 px, but the size is 36x36'):
        convert(read_encoder(path), 'timm', input_size=(36, 36))
    torch.save(dict(model={}), tmp_path / 'empty.pth')
    with pytest.raises(InputError, match='it holds no tensors'):
        read_encoder(tmp_path / 'empty.pth')
    with pytest.raises(InputError, match='cannot be written'):
        write_conversion(done, tmp_path / 'no' / 'folder.pth')
    with pytest.raises(InputError, match="timm has no MixMIMTransformer: take the target 'plain'"):
        convert(read_encoder(saved(tmp_path / 'mixmim.pth', weights)), 'timm')


def test_the_config_in_a_checkpoint_is_not_run(tmp_path, small_config):
    torch.save(dict(state_dict={'backbone.a': torch.zeros(1)}, meta=dict(cfg='model = dict(backbone=open("x", "w"))')),
               tmp_path / 'a.pth')
    with pytest.raises(InputError, match='the config in the checkpoint cannot be read'):
        read_encoder(tmp_path / 'a.pth')
