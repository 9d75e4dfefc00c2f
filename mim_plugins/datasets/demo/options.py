"""What a demo data set looks like."""
from __future__ import annotations

from dataclasses import asdict, dataclass

from mim_plugins.errors import InputError

SETS = ('pretrain', 'classification', 'detection', 'segmentation')


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo data; together with the library versions they fix every byte.

    Args:
        seed: Non-negative; each picture draws from its own stream keyed by the seed, the split it
            belongs to and its number, so a larger count leaves the first pictures as they were.
        sets: Which of ``SETS`` to make.
        images: Number of unlabelled pictures for pre-training.
        train: Number of labelled one-digit pictures for training, spread evenly over the classes.
        val: The same for validation.
        dense_train: Training pictures of the detection set, and as many of the segmentation set.
        dense_val: Validation pictures of each of these two.
        size: Least and greatest side of a picture in pixels; width and height are drawn apart.
        digit_size: Least and greatest height of a digit as a share of the picture's shorter side,
            in (0, 1]. Where n digits share a picture, their heights are divided by sqrt(n).
        max_digits: Most digits in a picture of the sets that may hold several.
        contrast: Contrast of the photograph behind the digits, from 0 (flat grey) to 1 (as taken).
        quality: JPEG quality, 1 to 100.

    Raises:
        InputError: If an option is out of its range.
    """

    seed: int = 0
    sets: tuple[str, ...] = SETS
    images: int = 20_000
    train: int = 4_000
    val: int = 2_000
    dense_train: int = 400
    dense_val: int = 100
    size: tuple[int, int] = (32, 48)
    digit_size: tuple[float, float] = (0.5, 1.0)
    max_digits: int = 3
    contrast: float = 0.25
    quality: int = 90

    def __post_init__(self) -> None:
        for name in ('sets', 'size', 'digit_size'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unknown = [name for name in self.sets if name not in SETS]
        if unknown or not self.sets:
            raise InputError(f'sets must name some of {", ".join(SETS)}, got {self.sets}')
        self._check_range('seed', 0, 2**63)
        for name in ('images', 'train', 'val', 'dense_train', 'dense_val'):
            self._check_range(name, 1, 9_999_999)
        self._check_range('max_digits', 1, 9)
        self._check_range('contrast', 0, 1)
        self._check_range('quality', 1, 100)
        self._check_pair('size', 16, 4096)
        self._check_pair('digit_size', 0.05, 1)
        least = self.digit_size[0] * self.size[0] / self.max_digits**0.5
        if least < 4:
            raise InputError(
                f'digits must be at least 4 px high, got {least:.1f} px from size {self.size[0]}, '
                f'digit_size {self.digit_size[0]} and max_digits {self.max_digits}')

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise InputError(f'{name} must be between {low} and {high}, got {value}')

    def _check_pair(self, name: str, low: float, high: float) -> None:
        pair = getattr(self, name)
        if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
            raise InputError(
                f'{name} must be two rising numbers between {low} and {high}, got {pair}')

    def to_json(self) -> dict:
        """The options as JSON would give them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
