"""Pipelines whose transforms join several steps, taken apart."""
import inspect

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mim_plugins.analysis.runs import image_batch
from mim_plugins.datasets import PackEncodedCrop
from mim_plugins.pipelines import innermost_dataset, kinds_of, pipeline_of, single_steps

CROP = dict(type='mim_plugins.RandomResizedCrop', scale=16, backend='pillow', interpolation='bicubic')
LOAD = dict(type='mim_plugins.LoadRGBImage')
PACK = dict(type='PackInputs')
JOINED = dict(type='mim_plugins.LoadAndCrop', crop=CROP)
ENCODED = dict(type='mim_plugins.PackEncodedCrop', crop=CROP)


def config(*pipeline: dict) -> Config:
    dataset = dict(type='mim_plugins.UnlabelledImages', pipeline=list(pipeline))
    return Config(dict(train_dataloader=dict(dataset=dict(type='mim_plugins.KeyedDataset', dataset=dataset))))


def test_the_data_set_inside_its_wrappers():
    assert innermost_dataset(config(LOAD).train_dataloader) == dict(
        type='mim_plugins.UnlabelledImages', pipeline=[LOAD])
    assert innermost_dataset(None) == {} and pipeline_of(None) == pipeline_of(Config({})) == []


def test_joined_steps_are_taken_apart_with_their_options():
    given = dict(order='rgb', backend_args=dict(backend='local'))
    assert pipeline_of(config({**JOINED, **given, 'margin': 2.}, PACK)) == [{**LOAD, **given}, CROP, PACK]
    assert single_steps([{**ENCODED, 'flip_prob': .1}]) == [
        LOAD, CROP, dict(type='mim_plugins.RandomFlip', prob=.1), PACK]
    assert kinds_of([LOAD, PACK]) == ['LoadRGBImage', 'PackInputs']


def test_without_a_probability_crops_are_flipped_as_the_transform_does():
    usual = inspect.signature(PackEncodedCrop).parameters['flip_prob'].default
    assert single_steps([ENCODED])[2]['prob'] == usual


@pytest.mark.parametrize('fast', [[JOINED, PACK], [ENCODED]], ids=['LoadAndCrop', 'PackEncodedCrop'])
def test_whole_images_are_the_same_for_fast_and_slow_configs(tmp_path, fast):
    noise = np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((90, 60), Image.Resampling.BICUBIC).save(tmp_path / 'a.jpg')
    slow, same = (image_batch([tmp_path / 'a.jpg'], (24, 32), config(*steps)) for steps in ([LOAD, CROP, PACK], fast))
    assert slow['inputs'].shape == (1, 3, 24, 32) and torch.equal(same['inputs'], slow['inputs'])
