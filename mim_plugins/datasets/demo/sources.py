"""The pictures that the demo data is made of: photographs and digits from installed wheels."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mim_plugins.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

# Only photographs that have a licence named in their wheel and show no person and no lettering
# (lettering would compete with the digits). docs/demo_data.md has the table.
PHOTOGRAPHS = {
    'skimage/data': (
        'brick.png', 'chelsea.png', 'coffee.png', 'coins.png', 'grass.png', 'gravel.png',
        'hubble_deep_field.jpg', 'ihc.png', 'retina.jpg', 'rocket.jpg'),
    'sklearn/datasets/images': ('china.jpg', 'flower.jpg'),
}
VAL_SHARE = 0.25  # of the glyphs of each class
VAL_REGION = 1 / 3  # of the longer side of each photograph


@dataclass(frozen=True)
class Sources:
    """Raw material of one side of the train/validation split.

    Attributes:
        photographs: RGB regions.
        glyphs: For each class 0..9 an array [N, 10, 10] of ink in 0..1, with an empty margin.
    """

    photographs: tuple[Image.Image, ...]
    glyphs: tuple[np.ndarray, ...]


@lru_cache(maxsize=2)
def load_sources(val: bool) -> Sources:
    """Load one side of the split; the two sides share no glyph and no pixel of a photograph.

    Raises:
        InputError: If scikit-image or scikit-learn is missing or has no such pictures.
    """
    photographs = tuple(
        _region(_open(package, name), val)
        for package, names in PHOTOGRAPHS.items() for name in names)
    # The margin lets the ink fade out instead of ending at the border of the 8x8 box.
    glyphs = tuple(
        np.pad(split_glyphs(digit, val) / 16, ((0, 0), (1, 1), (1, 1))) for digit in range(10))
    return Sources(photographs, glyphs)


def split_glyphs(digit: int, val: bool) -> np.ndarray:
    """Ink [N, 8, 8] in 0..16 of one class; the later ones, by other writers, are for validation."""
    images, targets = _digits()
    ours = images[targets == digit]
    cut = round(len(ours) * (1 - VAL_SHARE))
    return ours[cut:] if val else ours[:cut]


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            f'the demo data needs scikit-learn: pip install scikit-learn ({error})') from error
    digits = load_digits()
    return digits.images.astype(np.float32), digits.target


def _open(package: str, name: str) -> Image.Image:
    from PIL import Image
    root, _, folder = package.partition('/')
    spec = find_spec(root)
    if spec is None or spec.origin is None:
        wheel = {'skimage': 'scikit-image', 'sklearn': 'scikit-learn'}[root]
        raise InputError(f'the demo data needs {wheel}: pip install {wheel}')
    path = Path(spec.origin).parent / folder / name
    if not path.is_file():
        raise InputError(f'expected the photograph {name} in the installed {root}, found no {path}')
    with Image.open(path) as image:
        return image.convert('RGB')


def _region(image: Image.Image, val: bool) -> Image.Image:
    """The last third of the longer side is for validation, the rest for training."""
    width, height = image.size
    if width >= height:
        cut = round(width * (1 - VAL_REGION))
        return image.crop((cut, 0, width, height) if val else (0, 0, cut, height))
    cut = round(height * (1 - VAL_REGION))
    return image.crop((0, cut, width, height) if val else (0, 0, width, cut))
