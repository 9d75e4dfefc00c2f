import struct
import zlib

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image, ImageOps

from mim_plugins.datasets import LoadRGBImage
from mim_plugins.datasets.transforms import loading
from mim_plugins.errors import ImageDecodeError, InputError
from mim_plugins.registry import TRANSFORMS

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP_GREY = RNG.integers(0, 65536, (5, 7), np.uint16)
DEEP_RGB = RNG.integers(0, 65536, (5, 7, 3), np.uint16)
SMOOTH = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)


def load(path):
    results = LoadRGBImage(order='rgb').transform(dict(img_path=str(path)))
    img = results['img']
    assert img.dtype == np.uint8 and img.flags.c_contiguous and img.flags.writeable
    assert results['img_shape'] == results['ori_shape'] == img.shape[:2]
    return img


def grey_to_rgb(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def over_white(colour, alpha):
    share = alpha[..., None] / 255
    return np.rint(colour * share + 255 * (1 - share))


def sixteen_to_eight(values):
    return np.rint(values / 257)


def check(path, expected):
    np.testing.assert_array_equal(load(path), expected)


@pytest.mark.parametrize('name', [
    'a.png', 'a.bmp', 'a.tif', 'a.tiff', 'a.ppm', 'a.PNG', 'lossless.webp'])
def test_rgb(tmp_path, name):
    Image.fromarray(RGB).save(tmp_path / name, lossless=True)
    check(tmp_path / name, RGB)


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif', 'a.pgm', 'a.gif'])
def test_greyscale(tmp_path, name):
    Image.fromarray(GREY).save(tmp_path / name)
    check(tmp_path / name, grey_to_rgb(GREY))


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.pbm'])
def test_one_bit(tmp_path, name):
    Image.fromarray(GREY > 127).save(tmp_path / name)
    check(tmp_path / name, grey_to_rgb((GREY > 127) * np.uint8(255)))


@pytest.mark.parametrize('name', ['a.png', 'a.gif', 'a.tif', 'a.bmp'])
def test_palette(tmp_path, name):
    image = Image.fromarray(GREY % 4, 'P')
    palette = np.array([[255, 0, 0], [0, 255, 10], [3, 2, 1], [200, 100, 50]], np.uint8)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / name)
    check(tmp_path / name, palette[GREY % 4])


@pytest.mark.parametrize('name', ['a.png', 'a.gif'])
def test_palette_with_a_transparent_entry(tmp_path, name):
    image = Image.fromarray(GREY % 4, 'P')
    palette = np.array([[255, 0, 0], [0, 255, 10], [3, 2, 1], [200, 100, 50]], np.uint8)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / name, transparency=2)
    palette[2] = 255
    check(tmp_path / name, palette[GREY % 4])


def test_palette_with_an_alpha_for_each_entry(tmp_path):
    image = Image.fromarray(GREY % 2, 'P')
    image.putpalette([255, 0, 0, 0, 255, 10])
    image.save(tmp_path / 'a.png', transparency=bytes([255, 51]))
    palette = np.array([[255, 0, 0], [204, 255, 206]], np.uint8)  # 51 / 255 = 0.2 over white
    check(tmp_path / 'a.png', palette[GREY % 2])


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.webp'])
def test_rgba_lies_over_white(tmp_path, name):
    alpha = ALPHA.copy()
    alpha[0] = 0  # whatever colour hides under full transparency must not show
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / name, lossless=True, exact=True)
    img = load(tmp_path / name)
    np.testing.assert_array_equal(img, over_white(RGB, alpha))
    assert (img[0] == 255).all()


def test_grey_with_alpha_lies_over_white(tmp_path):
    Image.merge('LA', [Image.fromarray(GREY), Image.fromarray(ALPHA)]).save(tmp_path / 'a.png')
    check(tmp_path / 'a.png', over_white(grey_to_rgb(GREY), ALPHA))


def test_rgb_with_a_transparent_colour(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png', transparency=tuple(RGB[1, 2].tolist()))
    expected = RGB.copy()
    expected[1, 2] = 255
    check(tmp_path / 'a.png', expected)


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.pgm'])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), DEEP_GREY)
    img = load(tmp_path / name)
    np.testing.assert_array_equal(img, grey_to_rgb(sixteen_to_eight(DEEP_GREY)))
    assert len(np.unique(img)) > 20


@pytest.mark.parametrize('name', ['a.png', 'a.tiff'])
def test_sixteen_bit_colour(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), DEEP_RGB[..., ::-1])
    check(tmp_path / name, sixteen_to_eight(DEEP_RGB))


@pytest.mark.parametrize('channels', [2, 4])
def test_sixteen_bit_with_alpha_lies_over_white(tmp_path, channels):
    colour = DEEP_RGB[..., :channels - 1]
    alpha = ALPHA.astype(np.uint16) * 257
    raw = np.dstack([colour, alpha]).astype('>u2')
    (tmp_path / 'a.png').write_bytes(sixteen_bit_png(raw))
    img = load(tmp_path / 'a.png').astype(int)
    expected = over_white(sixteen_to_eight(np.broadcast_to(colour, DEEP_RGB.shape)), ALPHA)
    np.testing.assert_array_equal(img, expected)


def sixteen_bit_png(raw):
    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    height, width, channels = raw.shape
    colour_type = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack('>IIBBBBB', width, height, 16, colour_type, 0, 0, 0)
    rows = b''.join(b'\0' + row.tobytes() for row in raw)
    return b'\x89PNG\r\n\x1a\n' + b''.join([
        chunk(b'IHDR', header), chunk(b'IDAT', zlib.compress(rows)), chunk(b'IEND', b'')])


@pytest.mark.parametrize('values, top', [
    (np.array([[0, 100, 255]], np.int32), 255),
    (np.array([[0, 100, 65535]], np.int32), 65535),
    (np.array([[0, 0.25, 1]], np.float32), 1),
    (np.array([[0, 0.25, 200]], np.float32), 255),
    (np.array([[0, 0.25, 60000]], np.float32), 65535),
])
def test_thirty_two_bit_grey(tmp_path, values, top):
    Image.fromarray(values).save(tmp_path / 'a.tif')
    check(tmp_path / 'a.tif', grey_to_rgb(np.rint(values * 255.0 / top)))


@pytest.mark.parametrize('values', [[-1.0, 0.5], [0.0, 1e6], [0.0, np.nan]])
def test_floats_without_a_known_range_are_refused(tmp_path, values):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / 'a.tif')
    with pytest.raises(ImageDecodeError, match='a.tif: ValueError: expected values from 0 to 1'):
        load(tmp_path / 'a.tif')


def test_cmyk_jpeg(tmp_path):
    # Pillow writes CMYK files inverted with Adobe's marker, as Photoshop does.
    Image.new('CMYK', (16, 16), (255, 0, 0, 0)).save(tmp_path / 'cyan.jpg', quality=100)
    Image.new('CMYK', (16, 16), (0, 0, 0, 255)).save(tmp_path / 'black.jpg', quality=100)
    np.testing.assert_allclose(load(tmp_path / 'cyan.jpg')[8, 8], [0, 255, 255], atol=3)
    np.testing.assert_allclose(load(tmp_path / 'black.jpg')[8, 8], [0, 0, 0], atol=3)


@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_jpeg_equals_pillow_and_mmcv(tmp_path, mode):
    path = tmp_path / 'a.JPEG'
    Image.fromarray(SMOOTH).convert(mode).save(path, quality=90)
    with Image.open(path) as image:
        check(path, np.asarray(image.convert('RGB')))
    ours = LoadRGBImage().transform(dict(img_path=str(path)))
    theirs = LoadImageFromFile().transform(dict(img_path=str(path)))
    assert ours.keys() == theirs.keys() | {'content', 'decoder'}
    assert ours['content'] == path.read_bytes() and ours['decoder'] == 'LoadRGBImage'
    np.testing.assert_array_equal(ours['img'], theirs['img'])
    assert ours['img_shape'] == theirs['img_shape'] and ours['ori_shape'] == theirs['ori_shape']


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'deep.png', 'a.webp', 'a.tif', 'deep.tif'])
def test_exif_orientation(tmp_path, name, orientation):
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    if name == 'deep.png':
        # A 16-bit file with the orientation of an 8-bit one.
        Image.fromarray(RGB).save(tmp_path / 'b.png', exif=exif)
        with_exif = (tmp_path / 'b.png').read_bytes()
        at = with_exif.index(b'eXIf') - 4
        chunk = with_exif[at:at + 12 + int.from_bytes(with_exif[at:at + 4], 'big')]
        deep = sixteen_bit_png(DEEP_RGB.astype('>u2'))
        header_end = 8 + 25
        path.write_bytes(deep[:header_end] + chunk + deep[header_end:])
        stored = sixteen_to_eight(DEEP_RGB).astype(np.uint8)
    elif name == 'deep.tif':
        path.write_bytes(sixteen_bit_tiff(DEEP_RGB, orientation))
        stored = sixteen_to_eight(DEEP_RGB).astype(np.uint8)
    else:
        source = SMOOTH if name == 'a.jpg' else RGB
        Image.fromarray(source).save(path, exif=exif, lossless=True)
        Image.fromarray(source).save(tmp_path / f'plain_{name}', lossless=True)
        stored = load(tmp_path / f'plain_{name}')
    upright = Image.fromarray(stored)
    upright.getexif()[0x0112] = orientation
    check(path, np.asarray(ImageOps.exif_transpose(upright)))


def sixteen_bit_tiff(values, orientation):
    height, width, _ = values.shape
    pixels = values.astype('<u2').tobytes()
    bits_at = 8 + 2 + 10 * 12 + 4
    entries = [  # tag, type (3: short, 4: long), count, value
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 1),
        (262, 3, 1, 2), (273, 4, 1, bits_at + 6), (274, 3, 1, orientation), (277, 3, 1, 3),
        (278, 4, 1, height), (279, 4, 1, len(pixels))]
    directory = b''.join(struct.pack('<HHII', *entry) for entry in entries)
    return (struct.pack('<2sHIH', b'II', 42, 8, len(entries)) + directory + struct.pack('<I', 0)
            + struct.pack('<3H', 16, 16, 16) + pixels)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    check(tmp_path / 'a.gif', grey_to_rgb(GREY))


@pytest.mark.filterwarnings('ignore:Corrupt EXIF data')
def test_damaged_exif_does_not_matter(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / 'a.jpg', exif=b'Exif\0\0II*\0\xff\xff\xff\xff')
    assert load(tmp_path / 'a.jpg').shape == SMOOTH.shape


def test_order(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    results = TRANSFORMS.build(dict(type='mim_plugins.LoadRGBImage'))(
        dict(img_path=str(tmp_path / 'a.png')))
    np.testing.assert_array_equal(results['img'], RGB[..., ::-1])
    with pytest.raises(InputError, match="order must be 'bgr' or 'rgb', got 'gbr'"):
        LoadRGBImage(order='gbr')


def jpeg(tmp_path):
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / 'whole.jpg')
    return (tmp_path / 'whole.jpg').read_bytes()


@pytest.mark.parametrize('name, content, reason', [
    ('empty.jpg', lambda _: b'', 'it is empty or not an image'),
    ('text.png', lambda _: b'<html>Not found</html>', 'it is empty or not an image'),
    ('half.jpg', lambda p: jpeg(p)[:2000], 'truncated'),
    ('no_end.jpg', lambda p: jpeg(p)[:-200], 'truncated'),
    ('header.jpg', lambda p: jpeg(p)[:30], 'Error: '),
    ('half.png', lambda _: sixteen_bit_png(DEEP_RGB.astype('>u2'))[:100], 'Error: '),
])
def test_damaged_files_name_themselves(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content(tmp_path))
    with pytest.raises(ImageDecodeError, match=reason) as error:
        load(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and '\n' not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(ImageDecodeError, match='gone.jpg: there is no such file'):
        load(tmp_path / 'gone.jpg')


def test_decompression_bomb(tmp_path, monkeypatch):
    Image.new('1', (400, 400)).save(tmp_path / 'bomb.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(ImageDecodeError, match='bomb.png: DecompressionBombError'):
        load(tmp_path / 'bomb.png')


def test_separate_deep_planes_are_refused(tmp_path):
    content = bytearray(sixteen_bit_tiff(DEEP_RGB, 1))
    at = content.index(struct.pack('<HH', 274, 3))
    content[at:at + 12] = struct.pack('<HHII', 284, 3, 1, 2)
    (tmp_path / 'a.tif').write_bytes(bytes(content))
    with pytest.raises(ImageDecodeError, match='separate colour planes are not supported'):
        load(tmp_path / 'a.tif')


def test_a_picture_with_damaged_exif_stands_as_it_is():
    class Damaged:
        def getexif(self):
            raise ValueError('no EXIF')

    assert loading.orientation(Damaged()) == 1


def test_a_pipeline_that_is_printed_names_the_order():
    assert "order='bgr'" in repr(LoadRGBImage())
