"""JPEGs that the data preprocessor decodes."""
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import FUNCTIONS
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedSampler, PackEncodedCrop, UnlabelledImages, collate_encoded
from mim_plugins.errors import ImageDecodeError, InputError
from mim_plugins.ops.jpeg_crops import EncodedBatch, EncodedCrop, decode_crops
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
    encoded = pipeline[0]['type'].endswith('PackEncodedCrop')
    collate = FUNCTIONS.get('mim_plugins.collate_encoded') if encoded else pseudo_collate
    return next(iter(DataLoader(dataset, 4, sampler=KeyedSampler(dataset, shuffle=False, seed=3), num_workers=workers,
                                collate_fn=collate)))


@pytest.mark.parametrize('crop', CROPS)
def test_pictures_are_those_of_the_slow_way(folder, crop):
    slow = batch_of(folder, [dict(type='mim_plugins.LoadRGBImage'), crop, dict(type='RandomFlip', prob=.5),
                             dict(type='PackInputs', meta_keys=('flip', 'crop_box'))])
    fast = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=crop)])
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


@pytest.mark.processes
def test_a_worker_s_batch_is_one_piece_of_memory(folder, monkeypatch):
    batch = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=CROPS[0])], workers=1)['inputs']
    assert [crop.shape for crop in batch] == [(3, 24, 32)] * 4 == [batch[place].shape for place in range(-4, 0)]
    assert len({crop.content.untyped_storage().data_ptr() for crop in batch}) == 1
    assert bytes(batch[1].content.numpy()) == (folder / 'b.jpg').read_bytes() and batch[2].content.ndim == 3
    with pytest.raises(IndexError):
        batch[4]
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda contents: contents + 1)
    pinned = batch.pin_memory()
    assert all(torch.equal(after.content, before.content + 1) for after, before in zip(pinned, batch, strict=True))


def test_a_batch_keeps_all_that_a_crop_says():
    crop = EncodedCrop(torch.arange(5, dtype=torch.uint8), (1, 2, 3, 4), (5, 6), (7, 8), 9, (1, 0), True, 'bilinear')
    finished = EncodedCrop(torch.ones(3, 2, 4, dtype=torch.uint8))
    batch = EncodedBatch([finished, crop])
    assert torch.equal(batch[0].content, finished.content) and torch.equal(batch[1].content, crop.content)
    assert {**vars(batch[1]), 'content': None} == {**vars(crop), 'content': None}
    assert batch[0].shape == (3, 2, 4) and batch[1].shape == (3, 7, 8)


@pytest.mark.gpu
@pytest.mark.processes
def test_pinned_batches_are_decoded_on_the_device(folder):
    dataset = UnlabelledImages(str(folder), pipeline=[dict(type='mim_plugins.PackEncodedCrop', crop=CROPS[1])])
    batch = next(iter(DataLoader(dataset, 4, num_workers=1, pin_memory=True,
                                 collate_fn=FUNCTIONS.get('mim_plugins.collate_encoded'))))['inputs']
    assert all(crop.content.is_pinned() for crop in batch)
    assert decode_crops(batch, 'cuda').shape == (4, 3, 32, 32)


@pytest.mark.gpu
def test_the_device_s_decoder_gives_the_same(folder):
    crops = batch_of(folder, [dict(type='mim_plugins.PackEncodedCrop', crop=CROPS[0])])['inputs']
    images = decode_crops(crops, 'cuda').cpu().float()
    error = (images - decode_crops(crops, 'cpu')).square().mean((1, 2, 3))
    assert (10 * torch.log10(255**2 / error) > 35).all()


def test_batches_of_another_pipeline_are_refused():
    with pytest.raises(InputError, match='goes with a pipeline of mim_plugins.PackEncodedCrop alone, .* of Tensor'):
        collate_encoded([dict(inputs=torch.zeros(3, 8, 8))])


def test_refusals(tmp_path):
    for probability in (2, 'x', None):
        with pytest.raises(InputError, match=f'flip_prob is {probability!r}'):
            PackEncodedCrop(CROPS[0], flip_prob=probability)
    with pytest.raises(InputError, match='the crop is GridAlignedCrop'):
        PackEncodedCrop(dict(type='mim_plugins.GridAlignedCrop', scale=32))
    (tmp_path / 'a.jpg').write_bytes(b'')
    with pytest.raises(ImageDecodeError, match='could not read the image .*a.jpg'):
        Compose([PackEncodedCrop(CROPS[0])])(dict(img_path=str(tmp_path / 'a.jpg')))
