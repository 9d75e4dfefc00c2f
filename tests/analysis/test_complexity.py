"""Operations by part against counts by hand."""
import copy

import pytest
from mmengine.config import Config

from mim_plugins.analysis.complexity import complexity, config_size
from mim_plugins.errors import InputError

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
VIT = dict(type='VisionTransformer', arch=ARCH, img_size=32, patch_size=8)


def test_a_classifier_is_counted_by_hand():
    cfg = Config(dict(default_scope='mmpretrain', model=dict(
        type='ImageClassifier', backbone=VIT, head=dict(type='LinearClsHead', num_classes=10, in_channels=16),
        data_preprocessor=dict(type='ClsDataPreprocessor', mean=[0.] * 3, std=[1.] * 3))))
    found = complexity(cfg, (32, 32))
    tokens = 17
    layer = tokens * 16 * (3 * 16 + 16 + 32 + 32) + 2 * tokens * tokens * 16
    assert found.multiply_adds['backbone'] == 16 * 16 * 3 * 8 * 8 + 2 * layer
    assert found.multiply_adds['head'] == 16 * 10 and found.parameters['head'] == 170
    assert found.multiply_adds['total'] == sum(found.multiply_adds[part] for part in ('backbone', 'head'))
    assert found.parameters['total'] == found.parameters['backbone'] + 170
    assert f'{found.parameters["total"]:,}' in str(found) and 'on an image of 32 x 32 px' in str(found)


@pytest.mark.downstream
def test_parts_that_are_not_called_as_modules_are_counted():
    head = dict(type='FCNHead', in_channels=16, in_index=0, channels=8, num_convs=1, concat_input=False, num_classes=5,
                norm_cfg=dict(type='SyncBN'))
    cfg = Config(dict(default_scope='mmseg', model=dict(
        type='EncoderDecoder', backbone=dict(type='mmpretrain.VisionTransformer', arch=ARCH, img_size=32, patch_size=8,
                                             out_type='featmap'), decode_head=head)))
    assert complexity(cfg, (32, 32)).multiply_adds['decode_head'] == 16 * (16 * 8 * 9 + 8 * 5)


def test_the_size_is_the_models_or_the_pipelines(small_config):
    crop = [dict(type='Resize', scale=(2048, 512), keep_ratio=True), dict(type='RandomCrop', crop_size=(512, 256)),
            dict(type='Pack', keys=('img_id', ))]
    assert config_size(Config(dict(model=small_config))) == (32, 32)
    loader = dict(dataset=dict(type='RepeatDataset', dataset=dict(pipeline=crop)))
    cfg = Config(dict(model={}, train_dataloader=loader))
    assert config_size(cfg) == (512, 256)
    wide = copy.deepcopy(cfg)
    wide.train_dataloader.dataset.dataset.pipeline = [dict(type='Resize', scale=(1333, 800))]
    assert config_size(wide) == (800, 1333)
    crop = dict(type='mim_plugins.RandomResizedCrop', scale=96)
    wide.train_dataloader.dataset.dataset.pipeline = [dict(type='mim_plugins.LoadAndCrop', crop=crop)]
    assert config_size(wide) == (96, 96)
    with pytest.raises(InputError, match='states no image size'):
        config_size(Config(dict(model={})))
