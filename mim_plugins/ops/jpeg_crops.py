"""Crops of JPEGs that are decoded where the model is."""
from collections.abc import Sequence
from dataclasses import dataclass

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

    def cut(self, image: Tensor) -> Tensor:
        """The crop uint8 [3, H, W] of the whole picture uint8 [3, h, w]."""
        top, left, bottom, right = self.region
        part = image[None, :, top:bottom, left:right].float()
        part = F.interpolate(part, self.resized, mode=self.interpolation, antialias=True, align_corners=False)
        if self.padding:
            part = F.pad(part, [self.padding] * 4, mode='reflect')
        (top, left), (height, width) = self.start, self.scale
        part = part[0, :, top:top + height, left:left + width].round().clamp(0, 255).to(torch.uint8)
        return part.flip(-1) if self.flip else part


def decode_crops(crops: Sequence[EncodedCrop], device: torch.device | str) -> Tensor:
    """Decode and crop a batch, with nvJPEG on a CUDA device.

    Args:
        crops: All of one size; their contents on the CPU.
        device: Where to.

    Returns:
        uint8 [B, 3, H, W] in BGR.

    Raises:
        RuntimeError: A JPEG is damaged.
    """
    encoded = [crop.content for crop in crops if crop.content.ndim == 1]
    decoded = iter(decode_jpeg(encoded, mode=ImageReadMode.RGB, device=device) if encoded else [])
    return torch.stack([
        crop.cut(next(decoded)).flip(0) if crop.content.ndim == 1 else crop.content.to(device, non_blocking=True)
        for crop in crops])
