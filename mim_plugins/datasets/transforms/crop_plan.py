"""What a crop will take of a picture, known before the picture is decoded."""
from typing import NamedTuple

import numpy as np


class CropPlan(NamedTuple):
    """Resize a region of a picture, pad it by reflection, and cut the result out.

    Attributes:
        region: (top, left, bottom, right) in whole pixels of the picture.
        resized: (H, W) that the region gets.
        scale: (H, W) of the result.
        padding: Pixels reflected at each side of the resized region.
        start: First row and column of the result in the resized and padded region.
    """

    region: tuple[int, int, int, int]
    resized: tuple[int, int]
    scale: tuple[int, int]
    padding: int = 0
    start: tuple[int, int] = (0, 0)

    @property
    def crop_box(self) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of the result in pixels of the picture; padding lies outside of it."""
        top, left, bottom, right = self.region
        size = bottom - top, right - left
        return tuple(
            float(self.region[axis] + (self.start[axis] + shift[axis] - self.padding) * size[axis] / self.resized[axis])
            for shift in ((0, 0), self.scale) for axis in range(2))

    def cut(self, resized: np.ndarray) -> np.ndarray:
        """The result, of the resized region [H, W, C]."""
        if self.padding:
            resized = np.pad(resized, ((self.padding, self.padding), (self.padding, self.padding), (0, 0)),
                             mode='reflect')
        (top, left), (height, width) = self.start, self.scale
        return np.ascontiguousarray(resized[top:top + height, left:left + width])
