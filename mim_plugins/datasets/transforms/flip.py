from bisect import bisect_right
from itertools import accumulate
from typing import Any

import numpy as np
from mmcv.transforms import RandomFlip as _RandomFlip

from mim_plugins.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomFlip(_RandomFlip):
    """mmcv's random flip, which draws the same from the same random numbers in a tenth of the time.

    Arguments are mmcv's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        directions = [self.direction] if isinstance(self.direction, str) else list(self.direction)
        shares = self.prob if isinstance(self.prob, list) else [self.prob / len(directions)] * len(directions)
        self._directions = [*directions, None]
        self._bounds = list(accumulate(shares))

    def _choose_direction(self) -> str | None:
        return self._directions[bisect_right(self._bounds, np.random.random_sample())]
