"""Crops that follow the size of their sample."""
import cv2
import numpy as np
import pytest
import torchvision.transforms.functional as F
from mmpretrain.datasets import RandomResizedCrop as TheirCrop
from PIL import Image

from mim_plugins.datasets import BackgroundFocusedCrop, CenterCrop, RandomResizedCrop, ResizeOnly, SimpleResizedCrop
from mim_plugins.errors import InputError
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


def short_side(size, scale) -> tuple[int, int]:
    """What torchvision's Resize gives for a square ``scale``."""
    height, width = size
    return (scale, int(scale * width / height)) if height <= width else (int(scale * height / width), scale)


class TestSimpleResizedCrop:

    @pytest.mark.parametrize('size', [(30, 40), (40, 30), (10, 12), (24, 24), (100, 33)])
    @pytest.mark.parametrize('padding', [0, 4])
    def test_is_a_cut_of_the_resized_and_reflected_image(self, size, padding):
        image = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
        resized = F.resize(Image.fromarray(image), short_side(size, 24))  # bilinear with anti-aliasing
        assert min(resized.size) == 24
        padded = np.asarray(F.pad(resized, [padding], padding_mode='reflect')) if padding else np.asarray(resized)
        room = padded.shape[0] - 24, padded.shape[1] - 24
        assert room == tuple(2 * padding + side - 24 for side in short_side(size, 24))
        places = set()
        transform = TRANSFORMS.build(dict(type='mim_plugins.SimpleResizedCrop', scale=24, padding=padding))
        for seed in range(300):
            np.random.seed(seed)
            results = transform({'img': image})
            top, left = (round(edge * side / source) + padding for edge, side, source in zip(
                results['crop_box'], short_side(size, 24), size))
            assert np.array_equal(results['img'], padded[top:top + 24, left:left + 24])
            places.add((top, left))
        for axis in range(2):
            assert {place[axis] for place in places} == set(range(room[axis] + 1)) or room[axis] > 60

    @pytest.mark.parametrize('size', [(30, 40), (40, 30), (50, 20)])
    @pytest.mark.parametrize('scale', [(12, 20), (20, 12)])
    def test_covers_rectangles_with_the_image_s_own_aspect(self, size, scale):
        resized = SimpleResizedCrop(scale).resized(size, scale)
        assert all(side >= wanted for side, wanted in zip(resized, scale))
        assert any(side == wanted for side, wanted in zip(resized, scale))
        assert resized[0] / resized[1] == pytest.approx(size[0] / size[1], rel=.1)
        assert crop(SimpleResizedCrop(scale)).shape == (*scale, 3)
        assert crop(SimpleResizedCrop(7), input_size=scale).shape == (*scale, 3)

    @pytest.mark.parametrize('channels', [1, 4, 8])
    def test_any_number_of_channels(self, channels):
        image = np.random.default_rng(0).integers(256, size=(30, 40, channels), dtype=np.uint8)
        assert SimpleResizedCrop(16, backend='cv2')({'img': image})['img'].shape == (16, 16, channels)

    @pytest.mark.parametrize('transform', [SimpleResizedCrop(16), RandomResizedCrop(16, backend='pillow')])
    @pytest.mark.parametrize('image', [np.zeros((30, 40, 4), np.uint8), np.zeros((30, 40, 3), np.uint16)])
    def test_refuses_what_pillow_would_misread(self, transform, image):
        with pytest.raises(InputError, match="takes 8-bit images of 1 or 3 channels, but got .*: use backend='cv2'"):
            transform({'img': image})

    def test_refuses_a_negative_padding(self):
        with pytest.raises(InputError, match='at least 0 px, but is -1'):
            SimpleResizedCrop(16, padding=-1)


@pytest.mark.parametrize('scale', [0, (8, ), (8, -8), (8., 8)])
def test_bad_sizes_are_refused(scale):
    with pytest.raises(InputError, match='positive number of pixels or \\(height, width\\), but is'):
        ResizeOnly(scale)


class TestCenterCrop:

    @pytest.mark.parametrize('size', [(64, 64), (64, 96), (96, 64)])
    def test_takes_the_middle(self, size):
        image = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
        results = CenterCrop(56)({'img': image})  # 56 / .875 = 64: nothing is resized
        top, left, bottom, right = map(int, results['crop_box'])
        assert (top, left) == tuple((side - 56) // 2 for side in size)
        assert np.array_equal(results['img'], image[top:bottom, left:right])

    def test_the_whole_short_side_on_request(self):
        assert CenterCrop(16, part=1)({'img': IMAGE})['crop_box'] == pytest.approx((0, 3.81, 30, 34.29), abs=.01)

    @pytest.mark.parametrize('part', [0, 1.1])
    def test_refuses_other_parts(self, part):
        with pytest.raises(InputError, match=rf'must lie in \(0, 1\], but is {part}'):
            CenterCrop(16, part=part)


def test_resize_only_takes_all():
    results = ResizeOnly((12, 20))({'img': IMAGE})
    assert results['crop_box'] == (0, 0, 30, 40)
    assert np.array_equal(results['img'], np.asarray(F.resize(Image.fromarray(IMAGE), (12, 20))))


def test_a_random_resized_crop_tells_its_box():
    transform = RandomResizedCrop(16, interpolation='nearest')
    for seed in range(20):
        np.random.seed(seed)
        results = transform({'img': IMAGE})
        top, left, bottom, right = map(int, results['crop_box'])
        expected = cv2.resize(IMAGE[top:bottom, left:right], (16, 16), interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(results['img'], expected)


class TestBackgroundFocusedCrop:
    mask = np.zeros((30, 40), bool)
    mask[:12, :15] = True

    def boxes(self, transform, mask) -> list[tuple[int, ...]]:
        found = []
        for seed in range(50):
            np.random.seed(seed)
            found.append(tuple(map(int, transform({'img': IMAGE, 'object_mask': mask})['crop_box'])))
        return found

    def share(self, box) -> float:
        return self.mask[box[0]:box[2], box[1]:box[3]].sum() / self.mask.sum()

    def test_has_little_of_the_object(self):
        plain = self.boxes(RandomResizedCrop(16), self.mask)
        focused = self.boxes(BackgroundFocusedCrop(16), self.mask)
        assert max(map(self.share, focused)) < .2 < np.mean(list(map(self.share, plain)))
        first = [box for box in plain if self.share(box) < .2]
        assert set(first) <= set(focused)  # a first draw that will do is taken

    @pytest.mark.parametrize('mask', [np.ones((30, 40), bool), np.zeros((30, 40), bool)])
    def test_otherwise_takes_what_comes(self, mask):
        options = dict(crop_ratio_range=(.5, 1.))
        transform = BackgroundFocusedCrop(16, max_draws=3, **options)
        plain = RandomResizedCrop(16, **options)
        for seed in range(5):
            np.random.seed(seed)
            for _ in range(4):
                last = plain({'img': IMAGE})['crop_box']
            np.random.seed(seed)
            assert transform({'img': IMAGE, 'object_mask': mask})['crop_box'] == last

    def test_refuses_bad_input(self):
        with pytest.raises(InputError, match='put mim_plugins.LoadObjectMask before it'):
            BackgroundFocusedCrop(16)({'img': IMAGE})
        with pytest.raises(InputError, match='mask of 40x30 is not that of a picture of 30x40'):
            BackgroundFocusedCrop(16)({'img': IMAGE, 'object_mask': self.mask.T})
        with pytest.raises(InputError, match='put flips behind it'):
            BackgroundFocusedCrop(16)({'img': IMAGE, 'object_mask': self.mask, 'flip': True})
        with pytest.raises(InputError, match='at least one crop must be tried, but max_draws is 0'):
            BackgroundFocusedCrop(16, max_draws=0)
        with pytest.raises(InputError, match='between 0 and 1, but max_share is 2'):
            BackgroundFocusedCrop(16, max_share=2)
