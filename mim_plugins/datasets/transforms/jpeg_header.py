"""What the header of a JPEG tells, read where loading is to be fast."""
from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

from PIL import Image

from .loading import JPEG_END, JPEG_TAIL, is_plain_jpeg, orientation

_FRAMES = {0xC0: True, 0xC1: True, 0xC2: False}  # kinds of coding that libjpeg decodes, and whether row after row
_DESCRIPTIONS = (0xE1, 0xE2)  # segments of EXIF, and of files that hold several pictures
_SCAN = 0xDA


class JPEGHeader(NamedTuple):
    """Of a whole, upright JPEG, grey or in colour.

    Attributes:
        size: (H, W) in pixels.
        height_at: Where in the file its height stands, if all of its rows come one after the other; None otherwise.
    """

    size: tuple[int, int]
    height_at: int | None = None


def read_header(data: bytes) -> JPEGHeader | None:
    """The header of a JPEG that can be decoded in part or at a fraction, None of any other file.

    JPEGs that are turned by EXIF, cut short or in CMYK are among the others.

    Raises:
        Exception: Whatever Pillow raises on what is not an image.
    """
    header = _bare_header(data)
    if header:
        return header
    with Image.open(BytesIO(data)) as image:
        if is_plain_jpeg(image, data) and orientation(image) == 1:
            return JPEGHeader((image.height, image.width))
    return None


def _bare_header(data: bytes) -> JPEGHeader | None:
    """The same where nothing in it is unusual; Pillow takes several times as long."""
    if data[:2] != b'\xff\xd8' or JPEG_END not in data[-JPEG_TAIL:]:
        return None
    place, size, height_at, channels = 2, None, None, 0
    while place + 9 < len(data) and data[place] == 0xFF and data[place + 1] not in _DESCRIPTIONS:
        marker, length = data[place + 1], int.from_bytes(data[place + 2:place + 4], 'big')
        if marker == _SCAN and size:
            return JPEGHeader(size, height_at if data[place + 4] == channels else None)
        if marker in _FRAMES:
            bits, channels = data[place + 4], data[place + 9]
            size = int.from_bytes(data[place + 5:place + 7], 'big'), int.from_bytes(data[place + 7:place + 9], 'big')
            height_at = place + 5 if _FRAMES[marker] else None
            if bits != 8 or channels not in (1, 3) or not all(size):
                return None
        if length < 2:
            return None
        place += 2 + length
    return None


def first_rows(data: bytes, header: JPEGHeader, rows: int) -> bytes | bytearray:
    """A JPEG that ends after so many rows, for a decoder that takes what follows for superfluous bytes."""
    if header.height_at is None or rows >= header.size[0]:
        return data
    shortened = bytearray(data)
    shortened[header.height_at:header.height_at + 2] = rows.to_bytes(2, 'big')
    return shortened
