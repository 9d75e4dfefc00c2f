"""Decoding a JPEG at a fraction of its size, and cropping it where pixels of that size do not begin.

libjpeg scales by 1/2, 1/4 or 1/8 while it decodes, which saves the larger part of the inverse cosine transform. Pixel
i of a picture decoded at 1/k then covers the pixels k i ... k i + k - 1 of the whole one.
"""
from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mim_plugins.errors import InputError

from .crop_plan import CropPlan
from .jpeg_header import JPEGHeader, first_rows

_REACH = 3  # pixels to each side that a value between pixels is made of; two lose 2 dB against Pillow
_BLOCK = 16  # rows that a JPEG usually codes together
Interpolation = Literal['bicubic', 'bilinear']


def import_simplejpeg() -> ModuleType:
    """Import the package that decodes, which no other way of loading needs.

    Raises:
        InputError: It is missing or does not import.
    """
    try:
        import simplejpeg
    except ImportError as error:
        raise InputError(
            f'decoding JPEGs at a fraction of their size needs the package simplejpeg, but: {error}. Run '
            'pip install simplejpeg, or train without --fast-loading and load with mim_plugins.LoadRGBImage') from error
    return simplejpeg


def decode_jpeg(data: bytes, header: JPEGHeader, fraction: int, bottom: int | None = None) -> np.ndarray | None:
    """A JPEG as uint8 [ceil(H / fraction), ceil(W / fraction), 3], BGR, or its upper part.

    Args:
        data: The file's bytes.
        header: Of the file.
        fraction: 1, 2, 4 or 8.
        bottom: Rows of the whole picture that are needed, from the first; few more are decoded. None decodes all.

    Returns:
        None if the decoder gives the file up.
    """
    height, width = header.size
    if bottom is not None:
        # Whole blocks, and one more: rows at the end lack what colours are interpolated from.
        height = min(height, (math.ceil((bottom + _REACH * fraction) / _BLOCK) + 1) * _BLOCK)
        data = first_rows(data, header, height)
    simplejpeg = import_simplejpeg()
    try:
        return simplejpeg.decode_jpeg(data, 'BGR', min_height=-(-height // fraction), min_width=-(-width // fraction),
                                      strict=False)
    except ValueError:
        return None


def choose_fraction(plan: CropPlan, margin: float) -> int:
    """The largest of 8, 4, 2 and 1 at which the region is still ``margin`` times as large as it shall become."""
    top, left, bottom, right = plan.region
    room = min((bottom - top) / plan.resized[0], (right - left) / plan.resized[1]) / margin
    return next((fraction for fraction in (8, 4, 2) if fraction <= room), 1)


def resize_region(image: np.ndarray, plan: CropPlan, fraction: int, interpolation: Interpolation) -> np.ndarray:
    """Resize a plan's region of a picture that was decoded at 1/fraction, averaging where it shrinks.

    The weights are Pillow's, in PyTorch's implementation for 8 bits, which is several times as fast. A region that
    does not begin where a pixel does is first moved by the part of a pixel that is missing.

    Args:
        image: uint8 [H, W, 3].
        plan: In pixels of the whole picture.
        fraction: What the picture was decoded at.
        interpolation: Which weights.

    Returns:
        uint8 [h, w, 3] with h and w ``plan.resized``.
    """
    top, left, bottom, right = (edge / fraction for edge in plan.region)
    part = _moved(image, top, left, math.ceil(bottom - top), math.ceil(right - left))
    batch = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1).unsqueeze(0)
    options = dict(mode=interpolation, antialias=True, align_corners=False)
    if fraction == 1:
        resized = F.interpolate(batch, plan.resized, **options)
    else:
        # The region's own size, not that of the pixels it reaches into; the size of the result is rounded down.
        factors = [side * (1 + 1e-9) / length for side, length in zip(plan.resized, (bottom - top, right - left))]
        resized = F.interpolate(batch, scale_factor=factors, **options)
    height, width = plan.resized
    # PyTorch gives planes; OpenCV interleaves them ten times as fast as a transposed copy.
    return cv2.merge([plane.numpy() for plane in resized[0]])[:height, :width]


def _moved(image: np.ndarray, top: float, left: float, height: int, width: int) -> np.ndarray:
    """[height, width] pixels from a place that may lie between pixels."""
    row, column = int(top), int(left)
    if (row, column) == (top, left):
        return image[row:row + height, column:column + width]
    # What the filter reaches beside the region, as far as the picture goes.
    first = max(row - _REACH + 1, 0), max(column - _REACH + 1, 0)
    around = image[first[0]:row + height + _REACH, first[1]:column + width + _REACH]
    moved = cv2.sepFilter2D(around, -1, _weights(left - column), _weights(top - row),
                            anchor=(_REACH - 1, _REACH - 1), borderType=cv2.BORDER_REPLICATE)
    row, column = row - first[0], column - first[1]
    return moved[row:row + height, column:column + width]


@cache  # a fraction of 1/8 has eight shifts
def _weights(shift: float) -> np.ndarray:
    """Lanczos's weights of the pixels around a place that is ``shift`` in [0, 1) behind one, float32."""
    distance = np.arange(1 - _REACH, 1 + _REACH) - shift
    weights = np.sinc(distance) * np.sinc(distance / _REACH)
    return (weights / weights.sum()).astype(np.float32)
