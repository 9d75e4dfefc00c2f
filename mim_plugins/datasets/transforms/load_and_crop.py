"""Loading of no more of a picture than its crop needs."""
from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from mim_plugins.errors import InputError
from mim_plugins.registry import TRANSFORMS

from .crops import CenterCrop, RandomResizedCrop, ResizeOnly, SimpleResizedCrop
from .jpeg_header import JPEGHeader, read_header
from .loading import LoadRGBImage, decode_bgr, decode_errors
from .scaled_decoding import Interpolation, choose_fraction, decode_jpeg, import_simplejpeg, resize_region

PLANNED_CROPS = (RandomResizedCrop, SimpleResizedCrop, CenterCrop, ResizeOnly)


def build_planned_crop(crop: dict) -> Any:
    """Build a crop whose place can be drawn before the picture is decoded.

    Raises:
        InputError: It is none of those, or resizes otherwise than Pillow does with bicubic or bilinear weights.
    """
    built = TRANSFORMS.build(crop)
    if type(built) not in PLANNED_CROPS:
        raise InputError('only the place of ' + ', '.join(f'mim_plugins.{known.__name__}' for known in PLANNED_CROPS)
                         + f' is known before a picture is decoded, but the crop is {type(built).__name__}: load with '
                         'mim_plugins.LoadRGBImage')
    if built.backend != 'pillow' or built.interpolation not in get_args(Interpolation):
        raise InputError("pictures that are decoded at a fraction are resized as with backend='pillow' and "
                         f"interpolation='bicubic' or 'bilinear', but the crop has backend={built.backend!r} and "
                         f'interpolation={built.interpolation!r}')
    return built


def open_picture(loader: LoadRGBImage, results: dict) -> tuple[bytes, JPEGHeader | None, np.ndarray | None]:
    """Read a sample's file, and decode what is no ordinary JPEG.

    Returns:
        Its bytes, and either the header of an ordinary JPEG or the decoded picture, uint8 [H, W, 3] in BGR.

    Raises:
        ImageDecodeError: As :class:`LoadRGBImage`.
    """
    with decode_errors(results['img_path']):
        content = loader.read(results)
        header = read_header(content)
        return content, header, None if header else decode_bgr(content)


@TRANSFORMS.register_module()
class LoadAndCrop(LoadRGBImage):
    """Load ``img_path`` and crop it, decoding a JPEG at 1/2, 1/4 or 1/8 where its crop shrinks as much.

    It takes the place of :class:`LoadRGBImage` and the crop behind it. The crop's place is drawn from the size that
    the file's header tells, with the same random numbers, so the same places come out; ``img``, ``img_shape``,
    ``ori_shape`` and ``crop_box`` are as those two leave them. Whatever is no ordinary JPEG goes their way, with the
    same pixels. Of a JPEG that is decoded whole, the pixels differ by rounding; of one at a fraction a little more.

    Args:
        crop: Config of :class:`RandomResizedCrop`, :class:`SimpleResizedCrop`, :class:`CenterCrop` or
            :class:`ResizeOnly`, of Pillow's bicubic or bilinear interpolation.
        margin: How many times as large as the result a region must be decoded, along both sides; at least 1. The
            larger, the nearer to a whole decoding; ``float('inf')`` always decodes the whole picture.
        order: Order of the colour channels; OpenMMLab's pipelines expect BGR.
        backend_args: As in mmcv, for storage other than local files.

    Raises:
        InputError: A margin below 1, a crop that needs the decoded picture or another interpolation, or no package
            simplejpeg.
        ImageDecodeError: From the transform, as :class:`LoadRGBImage`.
    """

    def __init__(self, crop: dict, margin: float = 1.25, order: Literal['bgr', 'rgb'] = 'bgr',
                 backend_args: dict | None = None) -> None:
        super().__init__(order, backend_args)
        if not isinstance(margin, int | float) or not margin >= 1:
            raise InputError(f'a region must be decoded at least as large as the result, but margin is '
                             f'{margin!r}')
        import_simplejpeg()  # what is missing is told here, and not by a worker at the first picture
        self.crop = build_planned_crop(crop)
        self.margin = margin

    def transform(self, results: dict) -> dict:
        content, header, image = open_picture(self, results)
        if header is None:
            return self.crop(self.loaded(results, image, content))
        plan = self.crop.plan(header.size, results)
        fraction = choose_fraction(plan, self.margin)
        image = decode_jpeg(content, header, fraction, plan.region[2])
        if image is None:  # Pillow may still know what to do, or else says what is wrong
            with decode_errors(results['img_path']):
                image, fraction = decode_bgr(content), 1
        image = self.ordered(plan.cut(resize_region(image, plan, fraction, self.crop.interpolation)))
        results.update(img=image, img_shape=image.shape, ori_shape=header.size, crop_box=plan.crop_box)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop={self.crop}, margin={self.margin}, order={self.order!r})'
