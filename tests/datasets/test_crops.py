"""Crops that follow the size of their sample."""
import numpy as np
import pytest
from mmpretrain.datasets import RandomResizedCrop as TheirCrop

from mim_plugins.datasets import RandomResizedCrop
from mim_plugins.registry import TRANSFORMS

IMAGE = np.random.default_rng(0).integers(256, size=(30, 40, 3), dtype=np.uint8)


def crop(transform, **results) -> np.ndarray:
    np.random.seed(4)
    results = transform({'img': IMAGE, **results})
    assert results['img_shape'] == results['img'].shape
    return results['img']


@pytest.mark.parametrize('scale', [16, (12, 20)])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_pixels_are_mmpretrains(scale, backend):
    options = dict(crop_ratio_range=(.2, 1.), backend=backend, interpolation='bicubic')
    expected = crop(TheirCrop(scale, **options))
    assert np.array_equal(crop(RandomResizedCrop(scale, **options)), expected)
    size = (16, 16) if scale == 16 else scale
    assert np.array_equal(crop(RandomResizedCrop(7, **options), input_size=size), expected)


def test_one_samples_size_does_not_reach_the_next():
    transform = TRANSFORMS.build(dict(type='mim_plugins.RandomResizedCrop', scale=(12, 20)))
    sizes = [crop(transform, **size).shape[:2] for size in ({}, dict(input_size=(8, 16)), {})]
    assert sizes == [(12, 20), (8, 16), (12, 20)]


@pytest.mark.parametrize('channels', [1, 4, 8])
def test_any_number_of_channels(channels):
    image = np.random.default_rng(0).integers(256, size=(30, 40, channels), dtype=np.uint8)
    cropped = RandomResizedCrop(16)({'img': image, 'input_size': (8, 16)})['img']
    assert cropped.reshape(8, 16, -1).shape == (8, 16, channels)  # OpenCV drops a single channel's axis
