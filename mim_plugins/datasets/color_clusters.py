"""The palette of colour-cluster targets, from one's own pictures (SimMIM, arXiv 2111.09886, section 3.4)."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import sklearn
from rich.progress import track
from sklearn.cluster import MiniBatchKMeans

from mim_plugins.errors import InputError
from mim_plugins.files import write_whole
from mim_plugins.version import __version__


@dataclass(frozen=True)
class ColorClusters:
    """A palette and where it comes from.

    Attributes:
        centers: Float32 [K, 3], RGB intensities in 0..255.
        inertia: Mean squared distance of a sampled pixel to its centre.
        images: Pictures sampled.
        pixels: Pixels sampled, of all pictures together.
        size: Side in pixels that the pictures had then.
        seed: What the sample and the start of k-means were drawn with.
    """

    centers: np.ndarray
    inertia: float
    images: int
    pixels: int
    size: int
    seed: int

    def save(self, path: str | Path) -> None:
        """Write a ``.npz`` with ``centers`` and JSON ``metadata``: whole, or not at all."""
        metadata = {key: value for key, value in asdict(self).items() if key != 'centers'}
        metadata |= dict(clusters=len(self.centers), mim_plugins=__version__, scikit_learn=sklearn.__version__)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(temporary: Path) -> None:
            with temporary.open('wb') as file:  # numpy would add its suffix to a name
                np.savez(file, centers=self.centers, metadata=json.dumps(metadata))

        write_whole(path, write)


def fit_color_clusters(dataset: Sequence[dict], clusters: int = 512, images: int = 10000,
                       pixels_per_image: int = 256, size: int = 48, seed: int = 0) -> ColorClusters:
    """Group the colours of pictures by k-means.

    Args:
        dataset: Samples with ``img``, uint8 RGB [H, W, 3], such as :class:`UnlabelledImages` behind
            ``LoadRGBImage(order='rgb')``.
        clusters: Colours of the palette.
        images: Pictures to draw at most, each at most once.
        pixels_per_image: Pixels to draw of each at most.
        size: Side in pixels that pictures are averaged to first, so that their colours are those of the
            down-sampled target: image size / ``downsample``.
        seed: Of the drawing and of k-means; the same seed gives the same palette.

    Raises:
        InputError: An option below its least value, or fewer distinct colours than clusters.
    """
    for name, value, least in (('clusters', clusters, 2), ('images', images, 1),
                               ('pixels_per_image', pixels_per_image, 1), ('size', size, 1)):
        if value < least:
            raise InputError(f'{name} must be at least {least}, but is {value}')
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(dataset))[:images])
    pixels = np.concatenate([
        _sample(dataset[int(index)]['img'], size, pixels_per_image, random)
        for index in track(chosen, 'reading pictures')])
    colors = len(np.unique(pixels.astype(np.int32) @ [1 << 16, 1 << 8, 1]))
    if colors < clusters:
        raise InputError(f'{clusters} clusters need at least as many distinct colours, but the {len(pixels)} pixels '
                         f'drawn from {len(chosen)} pictures have {colors}')
    means = MiniBatchKMeans(clusters, batch_size=max(4096, 4 * clusters), n_init=3, random_state=seed)
    means.fit(pixels.astype(np.float32))
    return ColorClusters(
        centers=means.cluster_centers_.astype(np.float32), inertia=float(means.inertia_) / len(pixels),
        images=len(chosen), pixels=len(pixels), size=size, seed=seed)


def _sample(picture: np.ndarray, size: int, number: int, random: np.random.Generator) -> np.ndarray:
    """Random pixels [<= number, 3] of a picture [H, W, 3] averaged to ``size``."""
    colors = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    return colors[random.permutation(len(colors))[:number]]
