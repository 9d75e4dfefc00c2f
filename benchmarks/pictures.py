"""A folder of JPEGs of the size and weight of ImageNet's, for what measures loading."""
from pathlib import Path

import numpy as np
from PIL import Image

from mim_plugins.datasets.demo.sources import load_sources

SIZE = (500, 375)  # width and height in pixels, the commonest in ImageNet
QUALITY = 95


def write_jpegs(folder: Path, number: int) -> None:
    """Write regions of real photographs, 500 x 375 px at quality 95, as ``folder/<0..9>/<number>.jpg``.

    Args:
        folder: Made if it is not there; pictures that it has are kept.
        number: Pictures.
    """
    random = np.random.default_rng(0)
    photographs = load_sources(val=False).photographs
    for index in range(number):
        photograph = photographs[random.integers(len(photographs))]
        share = random.uniform(0.5, 1)
        width, height = (round(share * min(photograph.width, photograph.height * 4 / 3) * part) for part in (1, 3 / 4))
        left, top = random.integers(photograph.width - width + 1), random.integers(photograph.height - height + 1)
        path = folder / str(index % 10) / f'{index:06}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            region = photograph.resize(SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height))
            region.save(path, quality=QUALITY)
