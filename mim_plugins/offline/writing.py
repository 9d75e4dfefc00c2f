"""Filling a store, shard by shard, so that a killed process loses one shard at most."""
from __future__ import annotations

import fcntl
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mim_plugins.errors import InputError
from mim_plugins.ops import Calibration, calibrate, quantize

from .manifest import FILE, Manifest, differences
from .shards import Entry, Shard, write_shard
from .store import FeatureStore, load_calibration, save_calibration

_PATIENCE = 3600  # seconds to wait for the first process
_LOCK_PATIENCE = 10  # seconds
# What may lie in a folder whose manifest was lost; hidden files are the system's.
_BELONGS = re.compile(r'\..*|(shard-\d+\.safetensors|calibration\.safetensors|manifest\.json|unreadable\.txt)(\..*)?')
_REMEDY = 'take another folder, into which --reuse copies what is still the same, or remove it'
Teacher = Callable[[Tensor], Tensor]


def spread_places(count: int, number: int) -> list[int]:
    """At most ``number`` of 0..count-1, evenly from first to last."""
    number = min(number, count)
    return [round(place * (count - 1) / max(1, number - 1)) for place in range(number)]


def features_of(samples: Iterable[tuple[int, Any]], teacher: Teacher,
                batch_size: int) -> Iterator[tuple[list[tuple[int, Any]], Tensor]]:
    """Features of middle images, in batches of one shape.

    Args:
        samples: Places and middle images with ``views`` uint8 [V, C, H, W].
        teacher: Uint8 [B, C, H, W] -> features [B, h, w, C].
        batch_size: Images, of all views together, that the teacher gets at a time, or one image's views.

    Yields:
        Places and images of a batch, and their features [B, V, h, w, C].
    """

    def given(group: list[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], Tensor]:
        views = torch.from_numpy(np.concatenate([sample.views for _, sample in group]))
        return group, teacher(views).unflatten(0, (len(group), -1))

    groups: dict[tuple[int, ...], list[tuple[int, Any]]] = {}
    for place, sample in samples:
        group = groups.setdefault(sample.views.shape, [])
        group.append((place, sample))
        if (len(group) + 1) * len(sample.views) > batch_size:
            yield given(groups.pop(sample.views.shape))
    yield from map(given, groups.values())


def measure_channels(samples: Sequence[Any], teacher: Teacher, batch_size: int) -> Calibration:
    """Calibration by mean and variance of each channel over all cells of some images.

    Raises:
        InputError: None of them could be read.
    """
    total = count = square = 0
    readable_ones = ((place, sample) for place, sample in enumerate(samples) if sample.problem is None)
    for _, features in features_of(readable_ones, teacher, batch_size):
        cells = features[:, 0].flatten(0, 2).double().cpu()
        total, square, count = total + cells.sum(0), square + cells.square().sum(0), count + len(cells)
    if not count:
        raise InputError(f'none of {len(samples)} images for the calibration could be read')
    mean = total / count
    return calibrate(mean.float(), (square / count - mean.square()).clamp(min=0).float())


def encode(group: Sequence[tuple[int, Any]], features: Tensor, manifest: Manifest,
           calibration: Calibration | None) -> Iterator[tuple[int, Entry]]:
    """Places and entries of a batch of images with their features [B, V, h, w, C].

    Raises:
        InputError: Features that are not finite, or not in the store's dtype.
    """
    grid, flat = tuple(features.shape[2:4]), features.flatten(1, 3).float()
    if not flat.isfinite().all():
        raise InputError(f'the teacher gave values that are not finite for {group[0][1].name} or one of the '
                         f'{len(group) - 1} images after it: take another dtype for the teacher')
    scales: Sequence[Tensor | None] = [None] * len(flat)
    if manifest.dtype == 'int8':
        stored, steps = quantize(flat, calibration and Calibration(*(part.to(flat.device) for part in calibration)))
        scales = steps.cpu()
    else:
        stored = flat.to(getattr(torch, manifest.dtype))
        if not stored.isfinite().all():
            raise InputError(f'the features reach {flat.abs().max():.0f}, beyond what {manifest.dtype} holds: store '
                             'bfloat16 or int8')
    for (place, sample), values, scale in zip(group, stored.cpu(), scales, strict=True):
        yield place, Entry(sample.name, sample.content, grid, values, scale)


def check_space(folder: Path, needed: int) -> None:
    """Raise an InputError if the disk of ``folder``, which need not exist yet, has not so many bytes left."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise InputError(f'the store needs {readable(needed)}, but {readable(free)} are free at {existing}: nothing '
                         'was written')


def readable(number: float) -> str:
    """Bytes in decimal units, as disks are sold."""
    for unit in ('bytes', 'kB', 'MB', 'GB'):
        if number < 1000:
            return f'{number:.4g} {unit}'
        number /= 1000
    return f'{number:.4g} TB'


def agree(folder: Path, manifest: Manifest, remedy: str = _REMEDY) -> Manifest | None:
    """The manifest that is in a folder, if it is of the same store; None if there is none.

    Raises:
        InputError: There is one of another store; the message names all that differs, and the ``remedy``.
    """
    if not (folder / FILE).is_file():
        return None
    found = Manifest.load(folder)
    # The calibration is measured when a store is begun.
    if differing := differences(manifest.decisive(), replace(found, calibration=None).decisive()):
        raise InputError(f'{folder} holds another store: {"; ".join(differing)}; {remedy}')
    return found


def check_reuse(manifest: Manifest, store: FeatureStore) -> None:
    """Look whether entries of a store can be taken over into another one.

    Raises:
        InputError: They are of another teacher, of other middle images, or stored in another way.
    """
    ours, theirs = (replace(one, images=dict(count=0), images_per_shard=1, calibration=None).decisive()
                    for one in (manifest, store.manifest))
    if differing := differences(ours, theirs):
        raise InputError(f'features of {store.folder} cannot be used again: {"; ".join(differing)}')


def prepare(folder: Path, manifest: Manifest, rank: int, measure: Callable[[], Calibration] | None) -> Manifest:
    """Start a store or go on with one: manifest and calibration.

    The first process writes them, the others wait.

    Args:
        folder: The store.
        manifest: Of the store, without calibration.
        rank: Of this process.
        measure: Gives the channels' calibration; None for none.

    Returns:
        The manifest, with calibration.

    Raises:
        InputError: The folder holds another store, or the first process did not write its manifest.
    """
    found = agree(folder, manifest)
    if found is None and rank == 0:
        present = folder.iterdir() if folder.is_dir() else ()
        if others := [path.name for path in present if not _BELONGS.fullmatch(path.name)]:
            raise InputError(f'{folder} is no store and holds other files, as {others[0]}: take a folder of its own')
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f'the store {folder} cannot be made: {error.strerror}') from error
        found = replace(manifest, calibration=save_calibration(folder, measure()) if measure else None)
        found.save(folder)
    end = time.monotonic() + _PATIENCE
    while found is None and time.monotonic() < end:
        time.sleep(0.5)
        found = agree(folder, manifest)
    if found is None:
        raise InputError(f'the first process left no manifest in {folder}, which all processes must see')
    if (found.calibration is None) != (measure is None):
        raise InputError(f'{folder} holds a store {"with" if found.calibration else "without"} calibration of its '
                         'channels: go on as it was begun, or take another folder')
    return found


@contextmanager
def at_work(folder: Path, rank: int) -> Iterator[None]:
    """Keep a second extraction out of a store, as far as the file system has locks; by the first process.

    Raises:
        InputError: There is another one.
    """
    with (folder / FILE).open() as manifest:
        if rank == 0:
            _lock(manifest)
        yield


def _lock(manifest: IO) -> None:
    for patience in range(_LOCK_PATIENCE, -1, -1):
        try:
            fcntl.flock(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not patience:
                folder = Path(manifest.name).parent
                raise InputError(f'another extraction is at work in {folder}: let it finish or stop it') from None
            time.sleep(1)  # the workers of a killed process live on for a moment, and hold its lock
        except OSError as error:
            print_log(f'no lock on {manifest.name} ({error.strerror}): see that no other extraction works there')
            return


def missing_shards(folder: Path, manifest: Manifest, rank: int, processes: int) -> list[int]:
    """Numbers of the shards of this process that are not there or not whole."""
    missing = []
    for number in range(rank, manifest.shards, processes):
        try:
            Shard(folder, number, manifest)
        except InputError:
            missing.append(number)
    return missing


def write_shards(folder: Path, manifest: Manifest, numbers: Sequence[int], images: Dataset, teacher: Teacher,
                 batch_size: int, workers: int, progress: Callable[[int, list[str]], None],
                 reused: FeatureStore | None = None) -> None:
    """Write some shards, one after the other.

    A shard depends on its own images and the batch size only, so that the bytes are the same however often the work
    was stopped, and however many processes share it.

    Args:
        folder: The store.
        manifest: Of the store.
        numbers: Of the shards.
        images: Middle images by place, with ``name``, ``content``, ``views`` and ``problem``; with neither of the last
            two where ``reused`` has the same file.
        teacher: Uint8 [B, C, H, W] -> features [B, h, w, C].
        batch_size: Images that the teacher gets at a time.
        workers: Processes that read images.
        progress: Called after each shard with its number of images and what could not be read.
        reused: An older store to take entries from, see :func:`check_reuse`.

    Raises:
        InputError: The teacher's features do not fit the store's dtype.
    """
    calibration = load_calibration(folder, manifest)
    loader = iter(DataLoader(
        images, sampler=[place for number in numbers for place in manifest.shard(number)], batch_size=None,
        num_workers=workers, prefetch_factor=16 if workers else None))

    def readable_ones(places: range, entries: dict[int, Entry]) -> Iterator[tuple[int, Any]]:
        for place in places:
            sample = next(loader)
            if sample.views is not None:
                yield place, sample
            elif sample.problem is None:
                entries[place] = reused.same(sample.name, sample.content)
            else:
                entries[place] = Entry.unreadable(sample.name, sample.problem, manifest)

    for number in numbers:
        entries: dict[int, Entry] = {}
        for group, features in features_of(readable_ones(manifest.shard(number), entries), teacher, batch_size):
            entries.update(encode(group, features, manifest, calibration))
        write_shard(folder, number, [entries[place] for place in manifest.shard(number)], manifest)
        progress(len(entries), [entry.problem for entry in entries.values() if entry.problem is not None])
