"""Crops that lie on the grid of a teacher's features."""
from __future__ import annotations

import math
from typing import Literal

import mmcv
import numpy as np
from mmcv.image.geometric import cv2_interp_codes, pillow_interp_codes
from mmcv.transforms import BaseTransform

from mim_plugins.errors import InputError
from mim_plugins.ops import read_size
from mim_plugins.registry import TRANSFORMS

from .crops import check_backend

FITS = ('stretch', 'short_side')


@TRANSFORMS.register_module()
class GridAlignedCrop(BaseTransform):
    """Resize to a middle image and cut out whole patches of it (FastMAE, Computational Visual Media 2025).

    The origin of the crop is a multiple of ``patch`` in the middle image, so that the features of the crop are a slice
    of the features of the middle image. It has to see the whole picture as it is in the file: other crops, sizes and
    flips before it are refused. What the results hold then:

    * ``img`` and ``img_shape``, the crop; ``crop_box`` in pixels of the picture, as of the other crops;
    * ``grid_box``: (top, left, bottom, right) in cells of the middle image, as it was flipped or not;
    * ``aligned_box`` and ``aligned_img``: ``crop_box`` and ``img`` once more, to notice what comes later;
    * ``view``: ``'identity'`` or ``'hflip'``;
    * ``middle_image``: how the middle image was made, see :meth:`describe`, and ``middle_grid``, its cells;
    * ``middle``: the middle image itself, on request.

    Args:
        scale: Size of the crop, one number or (height, width), multiples of ``patch``; a sample's ``input_size`` goes
            before it.
        patch: Side of a cell in pixels.
        middle_size: Size of the middle image, one number or (height, width), multiples of ``patch``.
        fit: ``'stretch'`` resizes to ``middle_size`` whatever the aspect; ``'short_side'`` keeps the aspect: the short
            side becomes ``middle_size``, the long side the nearest multiple of ``patch``.
        max_aspect: Pictures that are longer than this times their short side are squeezed to it, with
            ``'short_side'``.
        place: Draw the crop's place, or take the one in the centre.
        flip_prob: Probability of mirroring the middle image before it is cut.
        keep_middle: Hand the middle image on, for a teacher that runs beside the training.
        recolored: Transforms behind it change colours. Then only flips, crops and sizes of theirs are noticed; else any
            change is.
        backend: ``'pillow'``, which averages where it shrinks, or ``'cv2'``.
        interpolation: As in mmcv.

    Raises:
        InputError: Sizes that are not multiples of the patch or do not hold the crop, or an unknown option; from a
            picture that was cropped, resized or flipped before, or that the backend would misread.
    """

    def __init__(self, scale: int | tuple[int, int], patch: int = 16, middle_size: int | tuple[int, int] = 256,
                 fit: Literal['stretch', 'short_side'] = 'stretch', max_aspect: float = 2.,
                 place: Literal['random', 'center'] = 'random', flip_prob: float = 0., keep_middle: bool = False,
                 recolored: bool = False, backend: str = 'pillow', interpolation: str = 'bicubic') -> None:
        if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1:
            raise InputError(f'a patch must be a positive number of pixels, but is {patch!r}')
        if fit not in FITS:
            raise InputError(f'fit must be one of {", ".join(FITS)}, but is {fit!r}')
        if place not in ('random', 'center'):
            raise InputError(f"place must be 'random' or 'center', but is {place!r}")
        if not isinstance(flip_prob, (int, float)) or not 0 <= flip_prob <= 1:
            raise InputError(f'a probability lies in [0, 1], but flip_prob is {flip_prob!r}')
        if not isinstance(max_aspect, (int, float)) or not 1 <= max_aspect < math.inf:
            raise InputError(f'an aspect is at least 1, but max_aspect is {max_aspect!r}')
        known = dict(cv2=cv2_interp_codes, pillow=pillow_interp_codes)
        if interpolation not in known.get(backend, {}):
            raise InputError(f'images are resized by one of {", ".join(known)} with one of '
                             f'{", ".join(cv2_interp_codes)}, but backend={backend!r} and '
                             f'interpolation={interpolation!r} was asked for')
        if keep_middle and fit != 'stretch':
            raise InputError("keep_middle=True needs middle images of one size, fit='stretch': those of a batch are "
                             'stacked')
        self.patch = patch
        self.middle_size = self._on_grid(middle_size, 'a middle image')
        if fit == 'short_side' and self.middle_size[0] != self.middle_size[1]:
            raise InputError("fit='short_side' takes one number as middle_size, but got {}x{}".format(
                *self.middle_size))
        self.fit = fit
        self.max_aspect = max_aspect
        self.place = place
        self.flip_prob = flip_prob
        self.keep_middle = keep_middle
        self.recolored = recolored
        self.backend = backend
        self.interpolation = interpolation
        self.scale = read_size(scale)
        self._cells(self.scale)

    def _on_grid(self, size: int | tuple[int, int], what: str) -> tuple[int, int]:
        height, width = size = read_size(size)
        if height % self.patch or width % self.patch:
            raise InputError(f'{what} of {height}x{width} px does not lie on a grid of {self.patch} px')
        return size

    def _cells(self, scale: tuple[int, int]) -> tuple[int, int]:
        """Cells of a crop, which every middle image has to hold."""
        scale = self._on_grid(scale, 'a crop')
        if any(side > whole for side, whole in zip(scale, self.middle_size, strict=True)):
            raise InputError('a crop of {}x{} px does not fit into a middle image of {}x{} px'.format(
                *scale, *self.middle_size))
        return scale[0] // self.patch, scale[1] // self.patch

    def describe(self, results: dict) -> dict:
        """How the middle image of a loaded picture is made: what has to agree for features to belong to it."""
        settings = dict(decoder=results.get('decoder', 'unknown'), patch=self.patch, fit=self.fit,
                        size=list(self.middle_size), backend=self.backend, interpolation=self.interpolation)
        if self.fit == 'short_side':
            return {**settings, 'max_aspect': self.max_aspect}
        return {**settings, 'grid': [side // self.patch for side in self.middle_size]}

    def middle_image(self, image: np.ndarray) -> np.ndarray:
        """The middle image of a picture [H, W, C], not flipped."""
        check_backend(image, self.backend)
        size = self.middle_size
        if self.fit == 'short_side':
            short = min(image.shape[:2])
            size = tuple(
                self.patch * round(min(side / short, self.max_aspect) * self.middle_size[0] / self.patch)
                for side in image.shape[:2])
        image = image[..., 0] if image.shape[2:] == (1, ) else image  # as Pillow wants grey
        return np.atleast_3d(mmcv.imresize(image, size[::-1], interpolation=self.interpolation, backend=self.backend))

    def transform(self, results: dict) -> dict:
        """Resize, flip and cut ``img``; see the class for what it leaves."""
        image = results['img']
        check_untouched(results)
        rows, columns = self._cells(results.get('input_size', self.scale))
        middle = self.middle_image(image)
        view = 'hflip' if self.flip_prob and np.random.rand() < self.flip_prob else 'identity'
        if view == 'hflip':
            middle = np.ascontiguousarray(middle[:, ::-1])
        grid = middle.shape[0] // self.patch, middle.shape[1] // self.patch
        top, left = (self._first(whole - part) for whole, part in zip(grid, (rows, columns), strict=True))
        box = top, left, top + rows, left + columns
        crop = np.ascontiguousarray(middle[tuple(
            slice(self.patch * first, self.patch * last) for first, last in ((top, box[2]), (left, box[3])))])
        place = self._in_picture(box, grid, image.shape[:2], view)
        found = dict(img=crop, img_shape=crop.shape, crop_box=place, aligned_box=place, grid_box=box, view=view,
                     middle_grid=grid, middle_image=self.describe(results),
                     aligned_img=None if self.recolored else crop)
        return {**results, **found, **(dict(middle=middle) if self.keep_middle else {})}

    def _first(self, room: int) -> int:
        return np.random.randint(room + 1) if self.place == 'random' else room // 2

    @staticmethod
    def _in_picture(box: tuple[int, ...], grid: tuple[int, int], size: tuple[int, int], view: str) -> tuple[float, ...]:
        """A box in cells of the grid as a box in pixels of the picture."""
        top, left, bottom, right = box
        if view == 'hflip':
            left, right = grid[1] - right, grid[1] - left
        return tuple(float(edge * size[axis % 2] / grid[axis % 2])
                     for axis, edge in enumerate((top, left, bottom, right)))


def check_untouched(results: dict) -> None:
    """Raise an InputError if a loaded picture was cropped, resized or flipped."""
    size, before = tuple(results['img'].shape[:2]), results.get('ori_shape')
    if 'crop_box' in results or (before is not None and size != tuple(before[:2])):
        raise InputError('GridAlignedCrop needs the whole picture, but it was cropped or resized before: it takes the '
                         "place of the pipeline's other crops")
    if results.get('flip'):
        raise InputError('GridAlignedCrop needs the picture as it is in the file, but it was flipped before: use its '
                         'own flip_prob')


def check_aligned(results: dict) -> None:
    """Look whether a picture is still what :class:`GridAlignedCrop` left.

    Raises:
        InputError: It never came through one, or was cropped, resized or flipped since.
    """
    if 'grid_box' not in results:
        raise InputError('features of a teacher belong to whole cells of a middle image, but the picture was not '
                         'cropped by mim_plugins.GridAlignedCrop')
    top, left, bottom, right = results['grid_box']
    patch = results['middle_image']['patch']
    came, wanted = tuple(results['img'].shape[:2]), (patch * (bottom - top), patch * (right - left))
    happened = ('flipped' if results.get('flip') else 'cropped' if results['crop_box'] != results['aligned_box'] else
                'resized from {}x{} to {}x{} px'.format(*wanted, *came) if came != wanted else
                'changed' if results['aligned_img'] is not None and results['aligned_img'] is not results['img'] else
                None)
    if happened:
        remedy = ('recolored=True if nothing moves' if happened == 'changed' else 'leave sizes and flips to it')
        raise InputError(f'the picture was {happened} behind GridAlignedCrop, so that the features are not its own any '
                         f'more: {remedy}')
