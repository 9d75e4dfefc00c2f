"""GridAlignedCrop: crops on the grid of a middle image."""
import numpy as np
import pytest
from mmpretrain.datasets import RandomFlip
from PIL import Image

from mim_plugins.datasets import CenterCrop, GridAlignedCrop, LoadRGBImage, PackInputs, RandomResizedCrop
from mim_plugins.errors import InputError
from mim_plugins.registry import TRANSFORMS

IMAGE = np.random.default_rng(0).integers(256, size=(60, 90, 3), dtype=np.uint8)


def run(image: np.ndarray = IMAGE, seed: int = 0, scale=16, before: dict | None = None, **options) -> dict:
    np.random.seed(seed)
    options = dict(patch=8, middle_size=32) | options
    transform = TRANSFORMS.build(dict(type='mim_plugins.GridAlignedCrop', scale=scale, **options))
    return transform(dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2], **(before or {})))


@pytest.mark.parametrize('scale, middle, shape', [
    (16, 32, (32, 32)), ((16, 24), (24, 40), (24, 40)), (32, 32, (32, 32))])
@pytest.mark.parametrize('flip', [0., 1.])
def test_the_crop_is_whole_cells_of_the_middle_image(scale, middle, shape, flip):
    resized = np.asarray(Image.fromarray(IMAGE).resize(shape[::-1], Image.Resampling.BICUBIC))
    resized = resized[:, ::-1] if flip else resized
    for seed in range(5):
        results = run(seed=seed, scale=scale, middle_size=middle, flip_prob=flip, keep_middle=True)
        top, left, bottom, right = results['grid_box']
        assert np.array_equal(results['middle'], resized)
        assert np.array_equal(results['img'], resized[8 * top:8 * bottom, 8 * left:8 * right])
        assert results['img'].shape[:2] == ((scale, scale) if isinstance(scale, int) else scale)
        assert results['view'] == ('hflip' if flip else 'identity')
        assert results['middle_grid'] == (shape[0] // 8, shape[1] // 8) and results['img_shape'] == results['img'].shape


def test_every_place_on_the_grid_comes_up_and_no_other():
    boxes = {run(seed=seed)['grid_box'] for seed in range(100)}
    assert boxes == {(top, left, top + 2, left + 2) for top in range(3) for left in range(3)}
    assert {run(seed=seed, place='center')['grid_box'] for seed in range(5)} == {(1, 1, 3, 3)}


def test_the_box_in_pixels_of_the_picture():
    results = run(place='center', scale=(16, 8), middle_size=(32, 24))
    assert results['crop_box'] == (15, 30, 45, 60)
    mirrored = run(scale=(16, 8), middle_size=(32, 24), flip_prob=1., seed=3)
    top, left = mirrored['grid_box'][:2]
    assert mirrored['crop_box'] == (15 * top, 90 - 30 * (left + 1), 15 * top + 30, 90 - 30 * left)


@pytest.mark.parametrize('size, middle', [
    ((60, 90), (32, 48)), ((90, 60), (48, 32)), ((50, 57), (32, 40)), ((50, 53), (32, 32)), ((40, 400), (32, 64))])
def test_short_side_keeps_the_aspect_to_the_next_cell(size, middle):
    image = np.zeros((*size, 3), np.uint8)
    results = run(image, fit='short_side')
    assert results['middle_grid'] == (middle[0] // 8, middle[1] // 8)
    assert results['middle_image']['max_aspect'] == 2 and 'max_aspect' not in run()['middle_image']


def test_the_size_of_a_sample_goes_first():
    assert run(before=dict(input_size=(24, 8)))['img'].shape == (24, 8, 3)
    with pytest.raises(InputError, match='a crop of 24x20 px does not lie on a grid of 8 px'):
        run(before=dict(input_size=(24, 20)))
    with pytest.raises(InputError, match='a crop of 40x40 px does not fit into a middle image of 32x32 px'):
        run(before=dict(input_size=(40, 40)))


@pytest.mark.parametrize('channels', [1, 4])
def test_any_number_of_channels(channels):
    image = np.random.default_rng(1).integers(256, size=(30, 40, channels), dtype=np.uint8)
    results = run(image, backend='cv2')
    assert results['img'].shape == (16, 16, channels)
    if channels == 4:
        with pytest.raises(InputError, match="the backend 'pillow' takes 8-bit images of 1 or 3 channels"):
            run(image)


@pytest.mark.parametrize('options, message', [
    (dict(scale=20), 'a crop of 20x20 px does not lie on a grid of 8 px'),
    (dict(middle_size=(32, 36)), 'a middle image of 32x36 px does not lie on a grid of 8 px'),
    (dict(scale=40), 'a crop of 40x40 px does not fit into a middle image of 32x32 px'),
    (dict(patch=0), 'a patch must be a positive number of pixels, but is 0'),
    (dict(fit='cover'), "fit must be one of stretch, short_side, but is 'cover'"),
    (dict(place='corner'), "place must be 'random' or 'center', but is 'corner'"),
    (dict(flip_prob=1.5), r'a probability lies in \[0, 1\], but flip_prob is 1.5'),
    (dict(flip_prob='x'), "but flip_prob is 'x'"),
    (dict(patch=True), 'but is True'),
    (dict(max_aspect=float('nan')), 'but max_aspect is nan'),
    (dict(backend='pil'), "resized by one of cv2, pillow with .*, but backend='pil' and"),
    (dict(interpolation='cubic'), "and interpolation='cubic' was asked for"),
    (dict(max_aspect=.5), 'an aspect is at least 1, but max_aspect is 0.5'),
    (dict(fit='short_side', middle_size=(32, 40)), "fit='short_side' takes one number as middle_size, but got 32x40"),
    (dict(fit='short_side', keep_middle=True), "keep_middle=True needs middle images of one size, fit='stretch'"),
])
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        run(**options)


@pytest.mark.parametrize('before, message', [
    (lambda results: RandomResizedCrop(40)(results), 'it was cropped or resized before'),
    (lambda results: CenterCrop((60, 90), part=1.)(results), 'it was cropped or resized before'),
    (lambda results: {**results, 'img': results['img'][:50]}, 'it was cropped or resized before'),
    (lambda results: RandomFlip(1.)(results), 'it was flipped before: use its own flip_prob'),
])
def test_pictures_that_are_not_as_in_the_file_are_refused(before, message):
    results = before(dict(img=IMAGE, img_shape=IMAGE.shape[:2], ori_shape=IMAGE.shape[:2]))
    with pytest.raises(InputError, match=message):
        GridAlignedCrop(16, 8, 32)(results)


class TestPacking:
    """What a teacher beside the training needs travels along."""

    def results(self) -> dict:
        return run(keep_middle=True, seed=1)

    def test_middle_image_and_box(self):
        results = self.results()
        packed = PackInputs()(results)
        assert packed['inputs'].shape == (3, 16, 16)
        given = packed['target_inputs']
        assert given['grid_box'].tolist() == list(results['grid_box'])
        top, left = given['grid_box'][:2] * 8
        assert (given['middle'][:, top:top + 16, left:left + 16] == packed['inputs']).all()

    def test_without_either_it_is_mmpretrains(self):
        assert set(PackInputs()(run())) == {'inputs', 'data_samples'}

    @pytest.mark.parametrize('behind, message', [
        (RandomFlip(1.), 'the picture was flipped behind GridAlignedCrop'),
        (RandomResizedCrop(16), 'the picture was cropped behind GridAlignedCrop'),
        (lambda results: {**results, 'img': results['img'][:8]}, 'was resized from 16x16 to 8x16 px behind'),
    ])
    def test_pictures_that_were_changed_since_are_refused(self, behind, message):
        with pytest.raises(InputError, match=message):
            PackInputs()(behind(self.results()))


def test_describes_who_decoded(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / 'a.png')
    loaded = LoadRGBImage()(dict(img_path=str(tmp_path / 'a.png')))
    crop = GridAlignedCrop(16, 8, (32, 24), interpolation='bilinear')
    assert crop(loaded)['middle_image'] == dict(
        decoder='LoadRGBImage', size=[32, 24], patch=8, grid=[4, 3], fit='stretch', backend='pillow',
        interpolation='bilinear')
    assert run()['middle_image']['decoder'] == 'unknown'


def test_half_of_the_pictures_are_flipped_where_that_is_asked():
    views = [run(seed=seed, flip_prob=.5)['view'] for seed in range(40)]
    assert 8 < views.count('hflip') < 32 and set(views) == {'hflip', 'identity'}
