"""Is a store what was written, and is it what the teacher says?"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mim_plugins.errors import InputError
from mim_plugins.ops import dequantize, normalize_features

from .manifest import Manifest
from .shards import Shard, shard_path
from .store import FeatureStore
from .writing import Teacher, features_of

LEAST_COSINE = 0.999


@dataclass(frozen=True)
class Agreement:
    """How stored features compare with the teacher's, over the cells of all images and views.

    Attributes:
        images: Number of images compared.
        cosine: Mean and least cosine of a cell's features.
        cosine_normalized: The same after the guidance normalisation, each channel over the cells of an image.
        max_error: Largest absolute difference.
        largest: Largest absolute feature of the teacher, to see it against.
    """
    images: int
    cosine: tuple[float, float]
    cosine_normalized: tuple[float, float]
    max_error: float
    largest: float

    @property
    def good(self) -> bool:
        """Whether both mean cosines are large enough."""
        return min(self.cosine[0], self.cosine_normalized[0]) >= LEAST_COSINE


def put_aside_damaged(folder: Path, manifest: Manifest,
                      progress: Callable[[], None] = lambda: None) -> list[str]:
    """Compare every entry with its checksum and rename shards that fail, so that a rerun makes them anew.

    Args:
        folder: The store.
        manifest: Of the store.
        progress: Called after each shard.

    Returns:
        What is wrong, a sentence for each shard.
    """
    found = []
    for number in range(manifest.shards):
        path = shard_path(folder, number)
        if problem := _problem(folder, number, manifest):
            found.append(problem)
            if path.exists():
                path.replace(path.with_name(f'{path.name}.damaged'))
        progress()
    return found


def _problem(folder: Path, number: int, manifest: Manifest) -> str | None:
    """What is wrong with a shard, if anything is."""
    try:
        names = Shard(folder, number, manifest).damaged()
    except InputError as error:
        return str(error)
    if not names:
        return None
    return f'{shard_path(folder, number)}: the checksums of {len(names)} images do not agree, the first {names[0]}'


def compare(store: FeatureStore, samples: Iterable[Any], teacher: Teacher, batch_size: int) -> Agreement:
    """Compare stored features with the live teacher's.

    Args:
        store: The store.
        samples: Middle images of some of its images, with all its views.
        teacher: Uint8 [B, C, H, W] -> features [B, h, w, C].
        batch_size: Images that the teacher gets at a time.

    Raises:
        InputError: An image is not in the store or has changed, or none of them can be read.
    """
    cosines: dict[str, list[Tensor]] = dict(raw=[], normalized=[])
    error = largest = 0.
    number = 0
    readable_ones = ((place, sample) for place, sample in enumerate(samples) if sample.problem is None)
    for group, features in features_of(readable_ones, teacher, batch_size):
        for (_, sample), live in zip(group, features.cpu(), strict=True):
            store.check_content(sample.name, sample.content)
            stored = torch.stack([_decoded(store, sample.name, view) for view in store.manifest.views])
            number += 1
            error = max(error, float((live - stored).abs().max()))
            largest = max(largest, float(live.abs().max()))
            for kind, norm in (('raw', 'none'), ('normalized', 'patch')):
                pair = (normalize_features(part.movedim(-1, 1), norm) for part in (live, stored))
                cosines[kind].append(torch.cosine_similarity(*pair, dim=1).flatten())
    if not number:
        raise InputError('none of the images for the comparison could be read')
    mean_and_least = {kind: (float(torch.cat(parts).mean()), float(torch.cat(parts).min()))
                      for kind, parts in cosines.items()}
    return Agreement(number, mean_and_least['raw'], mean_and_least['normalized'], error, largest)


def _decoded(store: FeatureStore, name: str, view: str) -> Tensor:
    values, scales = store.read(name, view=view)
    return values.float() if scales is None else dequantize(values, scales, store.calibration)
