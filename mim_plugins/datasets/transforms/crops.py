"""Crops whose size may change from sample to sample, and who tell what they took.

Each leaves ``crop_box`` in the results: (top, left, bottom, right) in pixels of the image that came in, as floats;
padding lies outside the image.
"""
import copy
from abc import abstractmethod
from types import SimpleNamespace
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.datasets import RandomResizedCrop as _RandomResizedCrop

from mim_plugins.errors import InputError
from mim_plugins.ops import read_size
from mim_plugins.registry import TRANSFORMS

from .crop_plan import CropPlan


def check_backend(image: np.ndarray, backend: str) -> None:
    """Pillow takes a second or fourth channel for transparency."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    if backend == 'pillow' and (channels not in (1, 3) or image.dtype != np.uint8):
        raise InputError(f"the backend 'pillow' takes 8-bit images of 1 or 3 channels, but got {image.dtype} with "
                         f"{channels}: use backend='cv2'")


@TRANSFORMS.register_module()
class RandomResizedCrop(_RandomResizedCrop):
    """mmpretrain's random resized crop, of the size that a sample's key asks for.

    Arguments are mmpretrain's; ``scale``, one number or (height, width), counts where the sample has no
    ``input_size``, (height, width) as well.

    Raises:
        InputError: From an image that Pillow would misread.
    """

    def transform(self, results: dict) -> dict:
        """Crop and resize ``img``; ``img_shape`` follows and ``crop_box`` tells the place."""
        check_backend(results['img'], self.backend)
        return super(RandomResizedCrop, self._for(results)).transform(results)

    def plan(self, size: tuple[int, int], results: dict) -> CropPlan:
        """Draw what :meth:`transform` would take of a picture of ``size`` (H, W) that is yet to be decoded."""
        # mmpretrain's drawing asks for an image, but looks at its shape only.
        top, left, height, width = self.draw(SimpleNamespace(shape=size))
        scale = tuple(results.get('input_size', self.scale))
        return CropPlan((top, left, top + height, left + width), scale, scale)

    def _for(self, results: dict) -> 'RandomResizedCrop':
        """A twin for this sample: the pipeline's own transform stays as it is for others."""
        twin = copy.copy(self)
        twin.scale = results.get('input_size', self.scale)
        twin._sample = results
        return twin

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Top, left, height and width of the next crop, in pixels."""
        top, left, height, width = params = self.draw(img)
        self._sample['crop_box'] = tuple(map(float, (top, left, top + height, left + width)))
        return params

    def draw(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Draw top, left, height and width in pixels of ``img`` [H, W, C]."""
        return super().rand_crop_params(img)


@TRANSFORMS.register_module()
class BackgroundFocusedCrop(RandomResizedCrop):
    """A random resized crop that looks for a place with little of the object (PixMIM, arXiv 2303.02416, table 7).

    It needs the sample's ``object_mask``, bool [H, W], as :class:`LoadObjectMask` leaves it. When no draw has little
    enough, or the mask is empty, one more is taken as it comes.

    Args:
        max_share: A crop is taken if less than this share of the object's area is in it.
        max_draws: Crops to try.
        **options: Those of :class:`RandomResizedCrop`.

    Raises:
        InputError: A share or number out of range; from a sample without a mask, with one of another size, or
            flipped since.
    """

    def __init__(self, *args: Any, max_share: float = 0.2, max_draws: int = 50, **options: Any) -> None:
        super().__init__(*args, **options)
        if not 0 <= max_share <= 1:
            raise InputError(f"a crop's share of the object must lie between 0 and 1, but max_share is {max_share}")
        if max_draws < 1:
            raise InputError(f'at least one crop must be tried, but max_draws is {max_draws}')
        self.max_share = max_share
        self.max_draws = max_draws

    def draw(self, img: np.ndarray) -> tuple[int, int, int, int]:
        mask = self._sample.get('object_mask')
        if mask is None:
            raise InputError(f'{type(self).__name__} needs the object_mask of each picture: put '
                             'mim_plugins.LoadObjectMask before it')
        if self._sample.get('flip'):
            raise InputError(f'{type(self).__name__} needs the picture as its mask is: put flips behind it')
        if mask.shape != img.shape[:2]:
            raise InputError('an object mask of {}x{} is not that of a picture of {}x{}'.format(
                *mask.shape, *img.shape[:2]))
        allowed = self.max_share * mask.sum()
        for _ in range(self.max_draws):
            top, left, height, width = params = super().draw(img)
            if mask[top:top + height, left:left + width].sum() < allowed:
                return params
        return super().draw(img)


class _WholeImageCrop(BaseTransform):
    """Resizes the whole image at once, pads it and cuts the result.

    Args:
        scale: Size of the result, one number or (height, width); a sample's ``input_size`` goes before it.
        backend: ``'pillow'``, which averages where it shrinks, or ``'cv2'``.
        interpolation: As in mmcv.
    """
    padding = 0

    def __init__(self, scale: int | tuple[int, int], backend: str = 'pillow', interpolation: str = 'bilinear') -> None:
        self.scale = read_size(scale)
        self.backend = backend
        self.interpolation = interpolation

    @abstractmethod
    def resized(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """(H, W) to resize an image of ``size`` to, before a crop of ``scale``."""

    @abstractmethod
    def place(self, room: int) -> int:
        """First row or column of the crop, where the last that there is room for is ``room``."""

    def plan(self, size: tuple[int, int], results: dict) -> CropPlan:
        """Draw what to take of a picture of ``size`` (H, W)."""
        scale = tuple(results.get('input_size', self.scale))
        resized = self.resized(size, scale)
        start = tuple(self.place(side + 2 * self.padding - crop) for side, crop in zip(resized, scale, strict=True))
        return CropPlan((0, 0, *size), resized, scale, self.padding, start)

    def transform(self, results: dict) -> dict:
        """Resize, pad and crop ``img``; ``img_shape`` follows and ``crop_box`` tells the place."""
        image = results['img']
        check_backend(image, self.backend)
        plan = self.plan(image.shape[:2], results)
        image = image[..., 0] if image.shape[2:] == (1, ) else image  # as Pillow wants grey
        image = np.atleast_3d(mmcv.imresize(image, plan.resized[::-1], interpolation=self.interpolation,
                                            backend=self.backend))
        image = plan.cut(image)
        return {**results, 'img': image, 'img_shape': image.shape, 'crop_box': plan.crop_box}


def _covering(size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of an image of ``size``, enlarged or shrunk alike along both axes until it just covers ``scale``."""
    height, width = size
    if height * scale[1] >= width * scale[0]:  # the width is the side that just fits
        return max(scale[0], int(scale[1] * height / width)), scale[1]
    return scale[0], max(scale[1], int(scale[0] * width / height))


@TRANSFORMS.register_module()
class SimpleResizedCrop(_WholeImageCrop):
    """PixMIM's conservative crop (arXiv 2303.02416, section 4.2): resize, pad by reflection, cut at random.

    The image is resized with its aspect until it just covers ``scale``: for a square its short side becomes
    ``scale``. All of an object usually stays in the picture.

    Args:
        scale: Size of the result, one number or (height, width); a sample's ``input_size`` goes before it.
        padding: Pixels reflected at each side, without repeating the border.
        backend: ``'pillow'``, which averages where it shrinks, or ``'cv2'``.
        interpolation: As in mmcv.

    Raises:
        InputError: A size that is not one or two positive numbers, or a negative padding; from an image that Pillow
            would misread.
    """

    def __init__(self, scale: int | tuple[int, int], padding: int = 4, backend: str = 'pillow',
                 interpolation: str = 'bilinear') -> None:
        super().__init__(scale, backend, interpolation)
        if padding < 0:
            raise InputError(f'the padding must be at least 0 px, but is {padding}')
        self.padding = padding

    def resized(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        return _covering(size, scale)

    def place(self, room: int) -> int:
        return np.random.randint(room + 1)


@TRANSFORMS.register_module()
class CenterCrop(_WholeImageCrop):
    """The middle of the image, resized with its aspect until ``scale`` is a certain part of the short side.

    Args:
        scale: Size of the result, one number or (height, width); a sample's ``input_size`` goes before it.
        part: Share of the short side that is kept, in (0, 1].
        backend: ``'pillow'``, which averages where it shrinks, or ``'cv2'``.
        interpolation: As in mmcv.

    Raises:
        InputError: A size that is not one or two positive numbers, or another part.
    """

    def __init__(self, scale: int | tuple[int, int], part: float = 0.875, backend: str = 'pillow',
                 interpolation: str = 'bilinear') -> None:
        super().__init__(scale, backend, interpolation)
        if not 0 < part <= 1:
            raise InputError(f'the part of the short side to keep must lie in (0, 1], but is {part}')
        self.part = part

    def resized(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        return _covering(size, tuple(round(side / self.part) for side in scale))

    def place(self, room: int) -> int:
        return room // 2


@TRANSFORMS.register_module()
class ResizeOnly(_WholeImageCrop):
    """The whole image at ``scale``, whatever its aspect.

    Args:
        scale: Size of the result, one number or (height, width); a sample's ``input_size`` goes before it.
        backend: ``'pillow'``, which averages where it shrinks, or ``'cv2'``.
        interpolation: As in mmcv.

    Raises:
        InputError: A size that is not one or two positive numbers.
    """

    def resized(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        return scale

    def place(self, room: int) -> int:
        return 0
