"""Crops of JPEGs that are decoded where the model is."""
from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg


@dataclass(frozen=True)
class EncodedCrop:
    """A JPEG's bytes and what shall be taken of it; or a crop that is finished.

    Attributes:
        content: uint8, the file's bytes [n], or the finished crop in BGR [3, H, W].
        region: (top, left, bottom, right) in pixels, resized to ``resized`` (H, W), padded by reflection, and cut to
            ``scale`` (H, W) from ``start`` on.
        flip: Mirror the result.
        interpolation: ``'bicubic'`` or ``'bilinear'``, averaging where it shrinks.
    """

    content: Tensor
    region: tuple[int, int, int, int] = (0, 0, 0, 0)
    resized: tuple[int, int] = (0, 0)
    scale: tuple[int, int] = (0, 0)
    padding: int = 0
    start: tuple[int, int] = (0, 0)
    flip: bool = False
    interpolation: str = 'bicubic'

    @property
    def shape(self) -> torch.Size:
        """(3, H, W) of the finished crop."""
        return self.content.shape if self.content.ndim == 3 else torch.Size((3, *self.scale))

    def cut(self, image: Tensor) -> Tensor:
        """The crop float32 [3, H, W], beyond 0..255 where interpolation overshoots, of a picture uint8 [3, h, w]."""
        top, left, bottom, right = self.region
        part = image[None, :, top:bottom, left:right].float()
        part = F.interpolate(part, self.resized, mode=self.interpolation, antialias=True, align_corners=False)
        if self.padding:
            part = F.pad(part, [self.padding] * 4, mode='reflect')
        (top, left), (height, width) = self.start, self.scale
        part = part[0, :, top:top + height, left:left + width]
        return part.flip(-1) if self.flip else part


class EncodedBatch(Sequence[EncodedCrop]):
    """Crops whose contents lie one behind the other in one tensor.

    A batch then is one piece of memory to share (each is an open file, and those of a process are limited) and to pin.

    Args:
        crops: At least one.
    """

    def __init__(self, crops: Sequence[EncodedCrop]) -> None:
        self._contents = torch.cat([crop.content.flatten() for crop in crops])
        self._shapes = [crop.content.shape for crop in crops]
        self._starts = list(accumulate((shape.numel() for shape in self._shapes), initial=0))
        self._places = [{name: value for name, value in vars(crop).items() if name != 'content'} for crop in crops]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> EncodedCrop:
        start, shape = self._starts[range(len(self))[index]], self._shapes[index]
        return EncodedCrop(self._contents[start:start + shape.numel()].view(shape), **self._places[index])

    def pin_memory(self) -> EncodedBatch:
        """The same in page-locked memory; torch's loaders ask for it."""
        pinned = copy(self)
        pinned._contents = self._contents.pin_memory()
        return pinned


def decode_crops(crops: Sequence[EncodedCrop], device: torch.device | str) -> Tensor:
    """Decode and crop a batch, with nvJPEG on a CUDA device.

    Args:
        crops: All of one size, such as an :class:`EncodedBatch`; their contents on the CPU.
        device: Where to.

    Returns:
        uint8 [B, 3, H, W] in BGR.

    Raises:
        RuntimeError: A JPEG is damaged.
    """
    device = torch.device(device)
    if device.type != 'cuda':
        return _decode(crops, device)
    # nvJPEG writes to fresh memory without regard to what is queued on it: here that can only be what was waited for.
    own, current = _stream(device), torch.cuda.current_stream(device)
    own.synchronize()
    with torch.cuda.stream(own):
        images = _decode(crops, device)
    current.wait_stream(own)
    images.record_stream(current)
    return images


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _decode(crops: Sequence[EncodedCrop], device: torch.device) -> Tensor:
    encoded = [crop for crop in crops if crop.content.ndim == 1]
    finished = [crop.content.to(device, non_blocking=True) for crop in crops if crop.content.ndim == 3]
    if not encoded:
        return torch.stack(finished)
    pictures = decode_jpeg([crop.content for crop in encoded], mode=ImageReadMode.RGB, device=device)
    cut = torch.stack([crop.cut(picture) for crop, picture in zip(encoded, pictures, strict=True)])
    cut = cut.round_().clamp_(0, 255).to(torch.uint8).flip(1)
    if not finished:
        return cut
    parts = {1: iter(cut), 3: iter(finished)}
    return torch.stack([next(parts[crop.content.ndim]) for crop in crops])
