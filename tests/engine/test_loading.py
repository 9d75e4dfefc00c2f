"""The switch to fast loading."""
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from mim_plugins.engine import launch
from mim_plugins.engine.loading import use_fast_loading, would_load_faster
from mim_plugins.errors import InputError
from mim_plugins.registry import TRANSFORMS

CONFIGS = Path(__file__).parents[2] / 'configs'
OURS = dict(type='mim_plugins.RandomResizedCrop', scale=32, backend='pillow', interpolation='bicubic')
THEIRS = {**OURS, 'type': 'RandomResizedCrop'}
LOAD = dict(type='mim_plugins.LoadRGBImage')
PACK = dict(type='PackInputs')


def config(*pipeline, wrapped: bool = False) -> Config:
    dataset = dict(type='mim_plugins.UnlabelledImages', pipeline=list(pipeline))
    return Config(dict(train_dataloader=dict(
        dataset=dict(type='mim_plugins.KeyedDataset', dataset=dataset) if wrapped else dataset)))


@pytest.mark.parametrize('loader, kept', [
    (LOAD, {}), ({**LOAD, 'order': 'rgb'}, dict(order='rgb')),
    (dict(type='LoadImageFromFile', backend_args=dict(backend='local')), dict(backend_args=dict(backend='local')))])
@pytest.mark.parametrize('crop', [OURS, THEIRS, {**THEIRS, 'type': 'mmpretrain.RandomResizedCrop'}])
@pytest.mark.parametrize('wrapped', [False, True])
def test_loader_and_crop_become_one(loader, kept, crop, wrapped):
    cfg = config(loader, crop, PACK, wrapped=wrapped)
    assert would_load_faster(cfg) and cfg.to_dict() == config(loader, crop, PACK, wrapped=wrapped).to_dict()
    use_fast_loading(cfg)
    dataset = cfg.train_dataloader.dataset
    pipeline = (dataset.dataset if wrapped else dataset).pipeline
    assert pipeline == [dict(type='mim_plugins.LoadAndCrop', crop=OURS, **kept), PACK]
    TRANSFORMS.build(pipeline[0])
    before = cfg.to_dict()
    use_fast_loading(cfg)
    assert cfg.to_dict() == before and not would_load_faster(cfg)


@pytest.mark.parametrize('pipeline, reason', [
    ([LOAD, dict(type='mim_plugins.GridAlignedCrop', scale=224)],
     'one of .*SimpleResizedCrop.*, but begins with mim_plugins.LoadRGBImage and mim_plugins.GridAlignedCrop'),
    ([LOAD, dict(type='CenterCrop', crop_size=224)], 'but begins with mim_plugins.LoadRGBImage and CenterCrop'),
    ([LOAD, dict(type='mim_plugins.LoadObjectMask', source='a'), OURS], 'and mim_plugins.LoadObjectMask'),
    ([OURS, PACK], 'but begins with mim_plugins.RandomResizedCrop and PackInputs'), ([], 'but begins with nothing'),
    ([dict(type='LoadImageFromFile', color_type='grayscale'), OURS],
     '--fast-loading cannot keep color_type of LoadImageFromFile')])
def test_other_pipelines_are_refused(pipeline, reason):
    with pytest.raises(InputError, match=reason):
        use_fast_loading(config(*pipeline))
    assert not would_load_faster(config(*pipeline))


@pytest.mark.parametrize('cfg', [
    Config({}), config(LOAD, {**OURS, 'backend': 'cv2'}), config(dict(type='mim_plugins.PackEncodedCrop', crop=OURS))])
def test_what_would_not_load_faster(cfg):
    assert not would_load_faster(cfg)


def test_the_option_does_what_the_base_says(tmp_path):
    recipe = CONFIGS / 'fastmim' / 'fastmim_vit-base_8xb256-amp-800e_in1k-128.py'
    cfg = launch.prepare_training(Namespace(
        config=str(recipe), cfg_options=None, data_root=str(tmp_path), work_dir=str(tmp_path), resume=None,
        encoder=None, amp=None, auto_scale_lr=False, fast_loading=True, launcher='none'))
    base = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'unlabelled_128_fast.py')
    assert cfg.train_dataloader.dataset.pipeline == base.train_dataloader.dataset.pipeline
