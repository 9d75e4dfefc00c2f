"""JPEGs that the data preprocessor decodes."""
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedSampler, PackEncodedCrop, UnlabelledImages
from mim_plugins.errors import ImageDecodeError, InputError
from mim_plugins.ops.jpeg_crops import decode_crops
from mim_plugins.registry import MODELS

BICUBIC = dict(backend='pillow', interpolation='bicubic')
CROPS = [
    dict(type='mim_plugins.RandomResizedCrop', scale=(24, 32), crop_ratio_range=(.2, 1.), **BICUBIC),
    dict(type='mim_plugins.SimpleResizedCrop', scale=32), dict(type='mim_plugins.CenterCrop', scale=32)]


@pytest.fixture
def folder(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(12, 16, 3), dtype=np.uint8)
    for index, name in enumerate(('a.jpg', 'b.jpg', 'c.png', 'd.jpg')):
        image = Image.fromarray(noise).resize((96 + index, 72), Image.Resampling.BICUBIC)
        (image.convert('L') if name == 'd.jpg' else image).save(tmp_path / name, quality=95)
    return tmp_path


def batch_of(folder, pipeline: list[dict], workers: int = 0) -> dict:
    dataset = UnlabelledImages(str(folder), pipeline=pipeline)
    return next(iter(DataLoader(dataset, 4, sampler=KeyedSampler(dataset, shuffle=False, seed=3), num_workers=workers,
                                collate_fn=pseudo_collate)))


@pytest.mark.parametrize('crop', CROPS)
def test_pictures_are_those_of_the_slow_way(folder, crop):
    slow = batch_of(folder, [dict(type='mim_plugins.LoadRGBImage'), crop, dict(type='RandomFlip', prob=.5),
                             dict(type='PackInputs', meta_keys=('flip', 'crop_box'))])
    fast = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=crop)], workers=1)
    images = decode_crops(fast['inputs'], 'cpu')
    expected = torch.stack(slow['inputs'])
    assert images.dtype == torch.uint8 and images.shape == expected.shape
    assert [sample.flip for sample in fast['data_samples']] == [sample.flip for sample in slow['data_samples']]
    assert any(sample.flip for sample in slow['data_samples'])
    error = (images.float() - expected).square().mean((1, 2, 3))
    assert (10 * torch.log10(255**2 / error) > 40).all() and torch.equal(images[2], expected[2])


def test_the_preprocessor_decodes_on_its_device(folder):
    preprocessor = MODELS.build(dict(
        type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, to_rgb=True,
        mask=dict(unit=8, ratio=.5)))
    encoded = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=CROPS[1])])
    decoded = {**encoded, 'inputs': decode_crops(encoded['inputs'], 'cpu')}
    assert torch.equal(preprocessor(encoded, True)['inputs'], preprocessor(decoded, True)['inputs'])


@pytest.mark.gpu
def test_the_device_s_decoder_gives_the_same(folder):
    crops = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=CROPS[0])])['inputs']
    images = decode_crops(crops, 'cuda').cpu().float()
    error = (images - decode_crops(crops, 'cpu')).square().mean((1, 2, 3))
    assert (10 * torch.log10(255**2 / error) > 35).all()


def test_refusals(tmp_path):
    with pytest.raises(InputError, match='flip_prob is 2'):
        PackEncodedCrop(CROPS[0], flip_prob=2)
    with pytest.raises(InputError, match='the crop is GridAlignedCrop'):
        PackEncodedCrop(dict(type='mim_plugins.GridAlignedCrop', scale=32))
    (tmp_path / 'a.jpg').write_bytes(b'')
    with pytest.raises(ImageDecodeError, match='could not read the image .*a.jpg'):
        Compose([PackEncodedCrop(CROPS[0])])(dict(img_path=str(tmp_path / 'a.jpg')))
