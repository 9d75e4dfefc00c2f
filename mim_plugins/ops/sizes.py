"""Sizes as users state them."""
from collections.abc import Sequence

from ..errors import InputError


def read_size(size: int | Sequence[int]) -> tuple[int, int]:
    """(H, W) of one number or two.

    Raises:
        InputError: It is something else.
    """
    sides = (size, size) if isinstance(size, int) else size
    if not (isinstance(sides, (tuple, list)) and len(sides) == 2 and all(
            isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)):
        raise InputError(f'a size must be a positive number of pixels or (height, width), but is {size!r}')
    return tuple(sides)
