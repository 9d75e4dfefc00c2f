"""Mask strategies: callables that give a batch of masks for an image size.

A strategy has a ``unit`` (side of a masked unit in pixels), a ``ratio`` (None if its masks are given), tells
the ``grid`` of units in an image and refuses sizes at which it cannot work.
"""
import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import InputError
from ...ops import block_masks, divide, mask_count, random_masks, resize_mask, square_masks
from ...ops.masks import Rounding
from ...registry import TASK_UTILS


class MaskStrategy(ABC):
    """What every strategy can do.

    Args:
        unit: Side of a masked unit in pixels.
    """

    ratio: float | None = None

    def __init__(self, unit: int) -> None:
        if unit < 1:
            raise InputError(f'the mask unit must be at least 1 px, but is {unit}')
        self.unit = unit

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Units in height and width for images of ``size`` (H, W).

        Raises:
            InputError: The unit does not divide the size, or the strategy has no masks for this grid.
        """
        return divide(size, self.unit, 'mask units')

    def visible_units(self, size: tuple[int, int]) -> int | None:
        """Units that every mask for images of ``size`` (H, W) leaves visible; None where that differs or is not known.
        """
        return None

    @abstractmethod
    def __call__(self, batch: int, size: tuple[int, int], generator: torch.Generator,
                 device: torch.device) -> Tensor:
        """Give bool masks [batch, H / unit, W / unit] for images of ``size``; True = masked."""


class DrawnMasks(MaskStrategy):
    """Masks with the same number of units in every sample, drawn anew for each batch.

    Args:
        unit: Side of a masked unit in pixels.
        ratio: Share of the units to mask, in (0, 1).
        rounding: How the count is rounded, see :func:`mim_plugins.ops.mask_count`.
        shared: One mask for the whole batch instead of one for each sample.
        ratio_range: Each batch draws its own ratio, uniform from ``ratio`` to ``ratio + ratio_range`` (MixMIM, arXiv
            2205.13137, released code). It follows from the generator's seed, not from its state.
    """

    def __init__(self, unit: int, ratio: float, rounding: Rounding, shared: bool, ratio_range: float) -> None:
        super().__init__(unit)
        if not isinstance(ratio_range, int | float) or ratio_range and not 0 < ratio_range < 1 - ratio:
            raise InputError('ratio_range is how far above ratio a mask ratio may be drawn, a number of at least 0 and '
                             f'below 1 - ratio, but with ratio={ratio} it is {ratio_range}')
        self.ratio = ratio
        self.ratio_range = ratio_range
        self.rounding = rounding
        self.shared = shared
        for limit in (ratio, ratio + ratio_range):
            self._draw(0, (1000, 1000), limit, None, None)  # refuses bad options before any data

    @abstractmethod
    def _draw(self, batch: int, grid: tuple[int, int], ratio: float, generator: torch.Generator | None,
              device: torch.device | None) -> Tensor:
        """Draw bool masks [batch, *grid]; none for a batch of 0, but bad options are refused."""

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        grid = super().grid(size)
        for limit in (self.ratio, self.ratio + self.ratio_range):
            mask_count(grid[0] * grid[1], limit, self.rounding)
        return grid

    def visible_units(self, size: tuple[int, int]) -> int | None:
        rows, columns = self.grid(size)
        return None if self.ratio_range else rows * columns - mask_count(rows * columns, self.ratio, self.rounding)

    def __call__(self, batch: int, size: tuple[int, int], generator: torch.Generator,
                 device: torch.device) -> Tensor:
        # On the host, which knows the number of masked units then without waiting for the device.
        share = random.Random(generator.initial_seed()).random()
        masks = self._draw(1 if self.shared else batch, self.grid(size), self.ratio + share * self.ratio_range,
                           generator, device)
        return masks.expand(batch, -1, -1).contiguous()


# Each spells its options out, so that a misspelt one is told by the name that stands in the config.


@TASK_UTILS.register_module()
class RandomMasks(DrawnMasks):
    """Uniformly random units; options as in :class:`DrawnMasks`."""

    def __init__(self, unit: int, ratio: float, rounding: Rounding = 'floor_keep', shared: bool = False,
                 ratio_range: float = 0.) -> None:
        super().__init__(unit, ratio, rounding, shared, ratio_range)

    def _draw(self, batch, grid, ratio, generator, device) -> Tensor:
        return random_masks(batch, grid, ratio, self.rounding, generator, device)


@TASK_UTILS.register_module()
class BlockMasks(DrawnMasks):
    """BEiT's overlapping rectangles, see :func:`mim_plugins.ops.block_masks`.

    Args:
        unit, ratio, rounding, shared, ratio_range: As in :class:`DrawnMasks`.
        min_block: Smallest area of a rectangle in units.
        min_aspect: Smallest height / width of a rectangle, in (0, 1].
    """

    def __init__(self, unit: int, ratio: float, rounding: Rounding = 'floor_keep', shared: bool = False,
                 min_block: int = 16, min_aspect: float = 0.3, ratio_range: float = 0.) -> None:
        self.min_block = min_block
        self.min_aspect = min_aspect
        super().__init__(unit, ratio, rounding, shared, ratio_range)

    def _draw(self, batch, grid, ratio, generator, device) -> Tensor:
        return block_masks(batch, grid, ratio, self.rounding, generator, device, self.min_block,
                           self.min_aspect)


@TASK_UTILS.register_module()
class SquareMasks(DrawnMasks):
    """One square region, see :func:`mim_plugins.ops.square_masks`.

    Args:
        unit, ratio, rounding, shared, ratio_range: As in :class:`DrawnMasks`; ``shared`` matters for random centres
            only.
        center: The region's centre as shares of (height, width) in [0, 1], or ``'random'``.
    """

    def __init__(self, unit: int, ratio: float, rounding: Rounding = 'floor_keep', shared: bool = False,
                 center: tuple[float, float] | Literal['random'] = (0.5, 0.5), ratio_range: float = 0.) -> None:
        self.center = center
        super().__init__(unit, ratio, rounding, shared, ratio_range)

    def _draw(self, batch, grid, ratio, generator, device) -> Tensor:
        return square_masks(batch, grid, ratio, self.rounding, generator, device, self.center)


@TASK_UTILS.register_module()
class FixedMasks(MaskStrategy):
    """Masks that are given, for pictures and losses to be compared; zero = visible, all else = masked.

    A coarser mask is repeated onto the units; a finer one, as painted in pixels, must mask each unit wholly
    or not at all.

    Args:
        masks: [h, w] for all images or [B, h, w] for the positions in a batch: nested lists, or a file .npy or
            .png (of which any colour counts as masked, and transparency is ignored).
        unit: Side of a masked unit in pixels.

    Raises:
        InputError: No such masks, or one that masks nothing or everything.
    """

    def __init__(self, masks: str | Path | list, unit: int) -> None:
        super().__init__(unit)
        values = _read_masks(Path(masks)) if isinstance(masks, str | Path) else _as_array(masks)
        if values.ndim not in (2, 3) or not values.size or values.dtype.kind not in 'biuf':
            raise InputError('fixed masks must be numbers of shape [h, w] or [B, h, w], but are of type '
                             f'{values.dtype} and shape {list(values.shape)}')
        self.masks = torch.from_numpy(values != 0).reshape(-1, *values.shape[-2:])
        for number, mask in enumerate(self.masks):
            if mask.all() or not mask.any():
                raise InputError('each fixed mask must mask a part of the image, but number '
                                 f'{number} masks {"all" if mask.all() else "nothing"}')

    def _on_grid(self, grid: tuple[int, int]) -> Tensor:
        height, width = self.masks.shape[1:]
        if height % grid[0] or width % grid[1]:
            return resize_mask(self.masks, grid)
        cells = self.masks.reshape(-1, grid[0], height // grid[0], grid[1], width // grid[1])
        masks = cells.amax((2, 4))
        if not torch.equal(masks, cells.amin((2, 4))):
            raise InputError(f'a fixed mask of {height}x{width} must mask each of {grid[0]}x{grid[1]} units wholly '
                             'or not at all, but masks one in part')
        return masks

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        grid = super().grid(size)
        self._on_grid(grid)
        return grid

    def __call__(self, batch: int, size: tuple[int, int], generator: torch.Generator,
                 device: torch.device) -> Tensor:
        masks = self._on_grid(super().grid(size))
        if len(masks) == 1:
            masks = masks.expand(batch, -1, -1)
        if batch > len(masks):
            raise InputError(f'{len(masks)} fixed masks cannot serve a batch of {batch} images: give one for all or '
                             'one for each position')
        return masks[:batch].contiguous().to(device)


def _as_array(masks: list) -> np.ndarray:
    try:
        return np.asarray(masks)
    except ValueError as error:
        raise InputError(f'fixed masks must be rectangular, but are not: {error}') from error


def _read_masks(path: Path) -> np.ndarray:
    if path.suffix not in ('.npy', '.png'):
        raise InputError(f'fixed masks are read from a .npy or .png file, but came as {path}')
    try:
        if path.suffix == '.npy':
            return np.load(path)
        with Image.open(path) as image:
            several = len(image.getbands()) > 1
            return np.asarray(image.convert('RGB')).any(-1) if several else np.asarray(image)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f'fixed masks cannot be read from {path}: {error}') from error
