"""Reading any common image file as 8-bit colour."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Literal

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import ExifTags, Image, UnidentifiedImageError

from mim_plugins.errors import ImageDecodeError, InputError
from mim_plugins.registry import TRANSFORMS

JPEG_END = b'\xff\xd9'
JPEG_TAIL = 64  # bytes: some writers pad a complete file by a few
TIFF_BITS_PER_SAMPLE = 258
TIFF_PLANAR = 284
# What turns a stored array [H, W, C] upright, for each EXIF orientation.
UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@TRANSFORMS.register_module()
class LoadRGBImage(BaseTransform):
    """Load ``img_path`` as an 8-bit colour array, whatever the file stores.

    A drop-in replacement of mmcv's ``LoadImageFromFile``, with these rules:

    * greyscale, 1-bit, palette and CMYK files become RGB; colour profiles are not applied;
    * transparency is laid over white;
    * 16-bit samples are divided by 257, so that 65535 becomes 255. 32-bit greyscale is scaled from
      the narrowest of 0..1 (floats alone), 0..255 and 0..65535 that holds the picture's values;
      16-bit TIFF files must not store their colours in separate planes;
    * of several frames the first is taken;
    * the EXIF orientation is applied.

    It sets ``img`` (uint8 [H, W, 3]), ``img_shape`` and ``ori_shape`` (H, W); ``content``, the bytes of the file, and
    ``decoder``, its own name, for transforms that have to know what the picture was made of.

    Args:
        order: Order of the colour channels; OpenMMLab's pipelines expect BGR.
        backend_args: As in mmcv, for storage other than local files.

    Raises:
        ImageDecodeError: From the transform, if the file is missing, not an image, cut short or
            unreasonably large.
    """

    def __init__(
            self, order: Literal['bgr', 'rgb'] = 'bgr', backend_args: dict | None = None) -> None:
        if order not in ('bgr', 'rgb'):
            raise InputError(f"order must be 'bgr' or 'rgb', got {order!r}")
        self.order = order
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        with decode_errors(results['img_path']):
            content = self.read(results)
            img = decode_bgr(content)
        return self.loaded(results, img, content)

    def read(self, results: dict) -> bytes:
        """The bytes of the sample's file, which a packed data set hands on by itself."""
        content = results.get('content')
        return fileio.get(results['img_path'], backend_args=self.backend_args) if content is None else content

    def loaded(self, results: dict, img: np.ndarray, content: bytes) -> dict:
        """The sample with its decoded picture, uint8 [H, W, 3] in BGR."""
        results['img'] = self.ordered(img)
        results['img_shape'] = img.shape[:2]
        results['ori_shape'] = img.shape[:2]
        results.update(content=content, decoder=type(self).__name__)
        return results

    def ordered(self, img: np.ndarray) -> np.ndarray:
        """A picture in BGR in the order of channels that was asked for."""
        return cv2.cvtColor(img, cv2.COLOR_BGR2RGB) if self.order == 'rgb' else img

    def __repr__(self) -> str:
        return f'{type(self).__name__}(order={self.order!r}, backend_args={self.backend_args})'


@contextmanager
def decode_errors(path: str) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of the file at ``path``.

    Raises:
        ImageDecodeError: Anything did.
    """
    try:
        yield
    except MemoryError:
        raise
    # Pillow's readers raise nearly every built-in exception on damaged files.
    except Exception as error:
        raise ImageDecodeError(f'could not read the image {path}: {_reason(error)}') from error


def decode_bgr(data: bytes) -> np.ndarray:
    """Decode the bytes of an image file to uint8 [H, W, 3], BGR, upright.

    Raises:
        Exception: Whatever the decoder raises on damaged data.
    """
    with Image.open(BytesIO(data)) as image:
        img = None
        if is_plain_jpeg(image, data):
            # The same library and pixels as in Pillow, in less than half the time.
            img = _opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        elif _is_deep_colour(image):
            # Pillow keeps the high byte of such samples only.
            img = _opencv(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if img is None:
            image.load()
            img = _pillow_to_array(image)
        # Both libraries turn TIFF files upright themselves.
        if image.format != 'TIFF':
            img = UPRIGHT.get(orientation(image), lambda a: a)(img)
    return _to_bgr(img)


def is_plain_jpeg(image: Image.Image, data: bytes) -> bool:
    """Whether an opened file is a whole JPEG, grey or in colour, that OpenCV decodes as Pillow does."""
    # OpenCV may return half a picture for a file that was cut short, so its end must be there.
    return (image.format == 'JPEG' and image.mode in ('RGB', 'L')
            and JPEG_END in data[-JPEG_TAIL:])


def _is_deep_colour(image: Image.Image) -> bool:
    if image.mode not in ('RGB', 'RGBA', 'LA'):
        return False
    if image.format == 'PNG':
        return '16' in str(image.tile[0][3])
    if image.format != 'TIFF' or max(image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (8,))) != 16:
        return False
    if image.tag_v2.get(TIFF_PLANAR, 1) != 1:
        # Both libraries return wrong pixels without a word.
        raise ValueError('16-bit TIFF files with separate colour planes are not supported')
    return True


def _opencv(data: bytes, flags: int) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def orientation(image: Image.Image) -> int:
    """EXIF's number of how an opened file is turned, 1 for upright."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _pillow_to_array(image: Image.Image) -> np.ndarray:
    """The loaded picture as [H, W] grey, or [H, W, 3 or 4] in BGR(A), of any depth."""
    if image.mode.startswith(('I', 'F')):
        # Pillow opens 16-bit PPM files, and older ones 16-bit PNG files, with 32-bit samples.
        widened = image.mode == 'I' and image.format in ('PNG', 'PPM')
        return _scale_to_bytes(np.asarray(image), sixteen_bit=widened)
    if 'transparency' in image.info or image.mode in ('LA', 'PA', 'RGBA', 'RGBa'):
        return cv2.cvtColor(np.asarray(image.convert('RGBA')), cv2.COLOR_RGBA2BGRA)
    rgb = image if image.mode == 'RGB' else image.convert('RGB')
    return cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR)


def _to_bgr(img: np.ndarray) -> np.ndarray:
    """uint8 or uint16, grey, BGR or BGRA, to contiguous uint8 BGR."""
    if img.dtype != np.uint8:
        img = _scale_to_bytes(img, sixteen_bit=True)
    if img.ndim == 2:
        return cv2.cvtColor(np.ascontiguousarray(img), cv2.COLOR_GRAY2BGR)
    if img.shape[2] == 4:
        alpha = img[..., 3:].astype(np.uint32)
        img = ((img[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(img)


def _scale_to_bytes(values: np.ndarray, sixteen_bit: bool) -> np.ndarray:
    """Scale samples of 16 or 32 bits to uint8."""
    if values.dtype.itemsize == 2 or sixteen_bit:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = values.min(), values.max()
    ranges = [255, 65535] if values.dtype.kind in 'iu' else [1, 255, 65535]
    full = next((top for top in ranges if low >= 0 and high <= top), None)
    if full is None:
        raise ValueError(f'expected values from 0 to 1, 255 or 65535, got {low} to {high}')
    return np.rint(values * (255 / full)).astype(np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return 'there is no such file'
    if isinstance(error, UnidentifiedImageError):
        return 'it is empty or not an image of a known kind'
    return ' '.join(f'{type(error).__name__}: {error}'.split())
