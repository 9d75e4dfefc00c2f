"""Loading of no more than a crop needs."""
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from PIL import ExifTags, Image

from mim_plugins.datasets import LoadAndCrop, LoadRGBImage, SampleKey, UnlabelledImages
from mim_plugins.datasets.transforms.crop_plan import CropPlan
from mim_plugins.datasets.transforms.jpeg_header import JPEGHeader, first_rows, read_header
from mim_plugins.datasets.transforms.scaled_decoding import choose_fraction, decode_jpeg, resize_region
from mim_plugins.errors import ImageDecodeError, InputError
from mim_plugins.registry import TRANSFORMS

BICUBIC = dict(backend='pillow', interpolation='bicubic')
CROPS = [
    dict(type='mim_plugins.RandomResizedCrop', scale=32, crop_ratio_range=(.2, 1.), **BICUBIC),
    dict(type='mim_plugins.RandomResizedCrop', scale=(20, 40), **BICUBIC),
    dict(type='mim_plugins.SimpleResizedCrop', scale=32),
    dict(type='mim_plugins.SimpleResizedCrop', scale=(24, 40), **BICUBIC),
    dict(type='mim_plugins.CenterCrop', scale=32),
    dict(type='mim_plugins.ResizeOnly', scale=(16, 32), **BICUBIC),
]


def picture(height: int = 187, width: int = 251) -> Image.Image:
    """Smooth colours with some detail; sides that no fraction divides."""
    noise = np.random.default_rng(0).integers(256, size=(height // 6, width // 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def saved(path, image=None, **options) -> str:
    (image or picture()).save(path, **{'quality': 95, **options})
    return str(path)


def bytes_of(folder, image=None, **options) -> bytes:
    return (folder / saved(folder / 'a.jpg', image, **options)).read_bytes()


def both(path: str, crop: dict, seed: int = 0, margin: float = 1., **results) -> tuple[dict, dict]:
    """The sample of the slow way and that of the fast one, from the same random numbers."""
    samples = []
    for steps in ([LoadRGBImage(), TRANSFORMS.build(crop)], [LoadAndCrop(crop, margin=margin)]):
        np.random.seed(seed)
        samples.append(Compose(steps)({'img_path': path, **results}))
        samples[-1]['next'] = np.random.rand()
    return tuple(samples)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other)**2).clip(1e-9))


def check_same_place(slow: dict, fast: dict) -> None:
    assert fast['crop_box'] == slow['crop_box'] and fast['next'] == slow['next']
    assert (fast['img_shape'], fast['ori_shape']) == (slow['img_shape'], slow['ori_shape'])
    assert fast['img'].shape == slow['img'].shape and fast['img'].dtype == np.uint8
    assert fast['img'].flags.c_contiguous and fast['img'].flags.writeable


@pytest.mark.parametrize('crop', CROPS)
class TestJPEGs:

    def test_same_place_and_nearly_the_same_pixels(self, tmp_path, crop):
        path = saved(tmp_path / 'a.jpg')
        for seed in range(5):
            slow, fast = both(path, crop, seed)
            check_same_place(slow, fast)
            assert psnr(slow['img'], fast['img']) > 34
            slow, fast = both(path, crop, seed, float('inf'))
            assert np.abs(slow['img'].astype(int) - fast['img']).max() <= 2

    def test_the_sample_s_size_goes_before_the_crop_s(self, tmp_path, crop):
        slow, fast = both(saved(tmp_path / 'a.jpg'), crop, input_size=(12, 24))
        check_same_place(slow, fast)
        assert fast['img'].shape == (12, 24, 3)
        assert psnr(slow['img'], fast['img']) > 30

    def test_small_and_grey_ones(self, tmp_path, crop):
        for image in (picture(21, 18), picture().convert('L')):
            slow, fast = both(saved(tmp_path / 'a.jpg', image), crop)
            check_same_place(slow, fast)
            assert psnr(slow['img'], fast['img']) > 34

    def test_the_order_of_channels(self, tmp_path, crop):
        path = saved(tmp_path / 'a.jpg')
        images = []
        for order in ('bgr', 'rgb'):
            np.random.seed(0)
            images.append(LoadAndCrop(crop, order=order)(dict(img_path=path))['img'])
        assert np.array_equal(images[0], images[1][..., ::-1])


def other_files(folder) -> list[str]:
    turned = Image.Exif()
    turned[0x0112] = 6
    cut = BytesIO()
    picture().save(cut, 'JPEG', quality=95)
    (folder / 'padded.jpg').write_bytes(cut.getvalue() + bytes(100))  # its end is not where it is looked for
    return [
        saved(folder / 'turned.jpg', exif=turned), saved(folder / 'cmyk.jpg', picture().convert('CMYK')),
        saved(folder / 'a.png'), saved(folder / 'alpha.png', picture().convert('RGBA')),
        saved(folder / 'deep.png', Image.fromarray(np.asarray(picture().convert('L')).astype(np.uint16) * 200)),
        str(folder / 'padded.jpg')]


@pytest.mark.parametrize('crop', CROPS[1:3])
def test_other_files_are_as_from_the_slow_way(tmp_path, crop):
    for path in other_files(tmp_path):
        slow, fast = both(path, crop)
        check_same_place(slow, fast)
        assert np.array_equal(slow['img'], fast['img'])


@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_broken_files_are_told_as_by_the_slow_way(tmp_path, content):
    path = tmp_path / 'a.jpg'
    path.write_bytes((tmp_path / saved(path)).read_bytes()[:3000] if content is None else content)
    messages = []
    for transform in (LoadRGBImage(), LoadAndCrop(CROPS[0])):
        with pytest.raises(ImageDecodeError, match='could not read the image .*a.jpg: ') as error:
            transform(dict(img_path=str(path)))
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_a_data_set_skips_broken_files_and_keys_its_samples(tmp_path):
    for index in range(3):
        saved(tmp_path / f'{index}.jpg', picture(90, 80 + index))
    (tmp_path / '1.jpg').write_bytes(b'')
    dataset = UnlabelledImages(str(tmp_path), pipeline=[LoadAndCrop(CROPS[0])], max_unreadable=.5)
    samples = [dataset[SampleKey(1, (seed, 0), (16, 8))] for seed in (0, 0, 1)]
    assert samples[0]['img_path'].endswith('2.jpg') and samples[0]['img'].shape == (16, 8, 3)
    assert samples[0]['crop_box'] == samples[1]['crop_box'] != samples[2]['crop_box']
    assert dataset.unreadable_files() == [f'{tmp_path}/1.jpg']


class TestFractions:

    @pytest.mark.parametrize('region, margin, expected', [
        ((0, 0, 63, 64), 1, 1), ((0, 0, 64, 64), 1, 2), ((5, 5, 133, 133), 1, 4), ((0, 0, 128, 300), 1, 4),
        ((0, 0, 128, 128), 1.25, 2), ((0, 0, 4000, 4000), 1.25, 8), ((0, 0, 4000, 4000), float('inf'), 1)])
    def test_the_region_stays_as_large_as_the_result(self, region, margin, expected):
        assert choose_fraction(CropPlan(region, (32, 32), (32, 32)), margin) == expected

    @pytest.mark.parametrize('fraction', [1, 2, 4, 8])
    def test_sizes_are_rounded_up(self, tmp_path, fraction):
        data = bytes_of(tmp_path)
        header = read_header(data)
        assert header.size == (187, 251)
        assert decode_jpeg(data, header, fraction).shape == (-(-187 // fraction), -(-251 // fraction), 3)

    @pytest.mark.parametrize('fraction', [1, 2, 4, 8])
    @pytest.mark.parametrize('options', [{}, dict(subsampling=0), dict(subsampling=1)], ids=['4:2:0', '4:4:4', '4:2:2'])
    def test_rows_below_the_crop_are_not_decoded(self, tmp_path, fraction, options, capfd):
        data = bytes_of(tmp_path, **options)
        header = read_header(data)
        whole, part = decode_jpeg(data, header, fraction), decode_jpeg(data, header, fraction, 70)
        assert 70 <= part.shape[0] * fraction < 187
        assert np.array_equal(part[:-(-70 // fraction)], whole[:-(-70 // fraction)])
        assert capfd.readouterr().err == ''  # nothing of the bytes that are left over

    @pytest.mark.parametrize('fraction', [1, 2, 4, 8])
    def test_opencv_decodes_the_same(self, tmp_path, fraction):
        data = bytes_of(tmp_path)
        header = read_header(data)
        flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
                 8: cv2.IMREAD_REDUCED_COLOR_8}
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), flags[fraction])
        assert np.array_equal(decode_jpeg(data, header, fraction), theirs)

    def test_rows_of_several_scans_come_all_together(self, tmp_path):
        data = bytes_of(tmp_path, progressive=True)
        assert read_header(data) == JPEGHeader((187, 251), None)
        assert first_rows(data, read_header(data), 70) is data
        assert len(decode_jpeg(data, read_header(data), 1, 70)) == 187

    def test_a_header_that_says_more_is_read_by_pillow(self, tmp_path):
        exif = Image.Exif()
        for orientation, expected in ((1, JPEGHeader((187, 251))), (6, None)):
            exif[ExifTags.Base.Orientation] = orientation
            assert read_header(bytes_of(tmp_path, exif=exif)) == expected
        assert read_header(bytes_of(tmp_path, picture().convert('CMYK'))) is None

    @pytest.mark.parametrize('fraction', [2, 4, 8])
    @pytest.mark.parametrize('shift', range(8))
    def test_a_ramp_shows_the_place_to_a_part_of_a_pixel(self, fraction, shift):
        """In a picture whose values are the places, of columns in one channel and of rows in another."""
        place = (np.arange(256 // fraction) + .5) * fraction  # of the pixels' centres: whole numbers
        ramp = np.stack([*np.meshgrid(place, place), np.zeros((len(place), ) * 2)], -1).astype(np.uint8)
        top, left = 40 + shift, 16 + shift
        plan = CropPlan((top, left, top + 133, left + 161), (16, 16), (16, 16))
        resized = resize_region(ramp, plan, fraction, 'bilinear')
        for axis, first, length in ((0, left, 161), (1, top, 133)):
            error = (resized[..., axis].mean(axis) - first - (np.arange(16) + .5) * length / 16)[1:-1]
            assert np.abs(error).max() < 1.1 and abs(error.mean()) < .3  # of rounding, twice


@pytest.mark.parametrize('crop', CROPS)
def test_what_the_scaling_decoder_refuses_is_decoded_whole(tmp_path, monkeypatch, crop):
    monkeypatch.setattr('mim_plugins.datasets.transforms.load_and_crop.decode_jpeg', lambda *given: None)
    slow, fast = both(saved(tmp_path / 'a.jpg', picture(748, 1004)), crop)
    check_same_place(slow, fast)
    assert np.abs(slow['img'].astype(int) - fast['img']).max() <= 2


class TestRefusals:

    def test_without_simplejpeg(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'simplejpeg', None)
        with pytest.raises(InputError, match='needs the package simplejpeg, but: .* Run pip install simplejpeg, or'):
            LoadAndCrop(CROPS[0])

    @pytest.mark.parametrize('margin', [.5, 'x', None, float('nan')])
    def test_margins(self, margin):
        with pytest.raises(InputError, match=f'at least as large as the result, but margin is {margin!r}'):
            LoadAndCrop(CROPS[0], margin=margin)

    @pytest.mark.parametrize('crop', [
        dict(type='mim_plugins.GridAlignedCrop', scale=32), dict(type='mim_plugins.BackgroundFocusedCrop', scale=32)])
    def test_crops_that_need_the_whole_picture(self, crop):
        with pytest.raises(InputError, match=f'only the place of .*ResizeOnly is known .* but the crop is '
                                             f'{crop["type"][12:]}: load with mim_plugins.LoadRGBImage'):
            LoadAndCrop(crop)

    @pytest.mark.parametrize('options', [dict(backend='cv2'), dict(backend='pillow', interpolation='nearest')])
    def test_other_interpolations(self, options):
        with pytest.raises(InputError, match="resized as with backend='pillow' and interpolation='bicubic' or"):
            LoadAndCrop(dict(type='mim_plugins.RandomResizedCrop', scale=32, **options))


def test_a_region_counts_in_its_own_width_and_height(tmp_path):
    picture(400, 60).save(tmp_path / 'tall.jpg', quality=95)
    crop = dict(type='mim_plugins.CenterCrop', scale=32)
    results = dict(img_path=str(tmp_path / 'tall.jpg'))
    slow = Compose([LoadRGBImage(), TRANSFORMS.build(crop)])(dict(results))['img']
    fast = Compose([LoadAndCrop(crop, margin=float('inf'))])(dict(results))['img']
    assert np.abs(slow.astype(int) - fast).max() <= 2


def test_rows_are_cut_by_the_height_and_not_by_the_width():
    data = bytes(20)
    assert first_rows(data, JPEGHeader((100, 50), 4), 60) is not data
    assert first_rows(data, JPEGHeader((50, 100), 4), 60) is data
