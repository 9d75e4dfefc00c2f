"""What ``tools/extract_targets.py`` does, with what it prints."""
from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..errors import InputError, name_some
from ..files import write_whole
from ..offline import FeatureStore, Manifest, open_shards, shard_path
from ..offline.manifest import FILE as MANIFEST
from ..offline.verification import LEAST_COSINE, compare, put_aside_damaged
from ..offline.writing import (
    agree,
    at_work,
    check_reuse,
    check_space,
    encode,
    measure_channels,
    missing_shards,
    prepare,
    readable,
    spread_places,
    write_shards,
)
from .extraction import Extraction, MiddleImages

_CALIBRATION_IMAGES = 256
_VERIFIED_IMAGES = 64
_SIZE_SAMPLES = 64
_LIST = 'unreadable.txt'
# Names of each entry and what the index holds of it, roughly.
_INDEX_BYTES = 128


def settings(folder: Path, dtype: str | None, images_per_shard: int | None, reused: Path | None) -> tuple[str, int]:
    """Dtype and images per shard as stated, else of the store that was begun or is used again, else the usual ones."""
    known = folder if (folder / MANIFEST).exists() else reused
    begun = known and Manifest.load(known)
    usual = (begun.dtype, begun.images_per_shard) if begun else ('float16', 1024)
    return dtype or usual[0], images_per_shard or usual[1]


def run_extraction(extraction: Extraction, rank: int, processes: int, batch_size: int, workers: int,
                   calibrated: bool, reused: Path | None = None) -> None:
    """Fill a store, or what this process has to do of it.

    Args:
        extraction: What to extract.
        rank: Of this process.
        processes: Their number.
        batch_size: Images that the teacher gets at a time.
        workers: Processes that read images.
        calibrated: Calibrate the channels of int8 features.
        reused: An older store; what it has of files that are still the same is copied.

    Raises:
        InputError: The folder holds another store, the disk is too small, or the older store is of another kind.
    """
    images, teacher, manifest, folder = (
        extraction.images, extraction.teacher, extraction.manifest, extraction.folder)
    begun = agree(folder, manifest)
    old = reused and FeatureStore(reused)
    if old:
        check_reuse(manifest, old)
        calibrated = old.calibration is not None
    if rank == 0:
        announce(extraction, begun)
    measure = None
    if manifest.dtype == 'int8' and calibrated:
        measure = functools.partial(_measure, images, teacher, batch_size) if old is None else lambda: old.calibration
    manifest = prepare(folder, manifest, rank, measure)
    if old and manifest.calibration != old.manifest.calibration:
        raise InputError(f'{folder} was begun with another calibration than that of {reused}, whose features can '
                         'therefore not be copied into it: take another folder')
    images.reused = old
    with at_work(folder, rank):
        todo = missing_shards(folder, manifest, rank, processes)
        if not todo:
            print(f'process {rank}: nothing is left to do', flush=True)
        else:
            with _Progress(sum(len(manifest.shard(number)) for number in todo), rank, processes) as progress:
                write_shards(folder, manifest, todo, images, teacher, batch_size, workers, progress.advance, old)
        conclude(folder, manifest)


def _measure(images: MiddleImages, teacher: Callable, batch_size: int) -> Any:
    places = spread_places(len(images), _CALIBRATION_IMAGES)
    print(f'calibrating the channels on {len(places)} images', flush=True)
    return measure_channels([images[place] for place in places], teacher, batch_size)


def announce(extraction: Extraction, begun: Manifest | None) -> None:
    """Print what will be stored and how large it is, and refuse a disk that is too small.

    Raises:
        InputError: The disk is too small for what is left.
    """
    manifest, images = extraction.manifest, extraction.images
    samples = [images[place] for place in spread_places(len(images), _SIZE_SAMPLES)]
    patch = manifest.middle_image['patch']
    cells = [sample.views.shape[2] // patch * (sample.views.shape[3] // patch)
             for sample in samples if sample.problem is None] or [0]
    entry = _INDEX_BYTES + sum(map(manifest.entry_bytes, cells)) / len(cells)
    whole = entry * len(images)
    about = '' if len(set(cells)) == 1 else 'about '
    print(f'{len(images)} images x {about}{sum(cells) / len(cells):.4g} cells x {manifest.channels} channels x '
          f'{len(manifest.views)} view{"s" * (len(manifest.views) > 1)} in {manifest.dtype}: {about}{readable(whole)}'
          f'\nteacher {manifest.teacher["name"]}, weights {manifest.teacher["sha256"][:12]}, {manifest.shards} shards '
          f'in {extraction.folder}', flush=True)
    there = 0
    if begun is not None:
        found = [shard_path(extraction.folder, number) for number in range(manifest.shards)]
        there = sum(path.stat().st_size for path in found if path.exists())
        print(f'going on with {sum(path.exists() for path in found)} of {manifest.shards} shards, '
              f'{readable(there)}, that are there', flush=True)
    check_space(extraction.folder, round(whole - there))
    _try_teacher(extraction, samples)


def _try_teacher(extraction: Extraction, samples: Sequence[Any]) -> None:
    """Let the teacher look at one image, so that nothing is written of one that does not give what was said."""
    for sample in samples:
        if sample.problem is None:
            features = extraction.teacher(torch.from_numpy(sample.views))
            list(encode([(0, sample)], features[None], replace(extraction.manifest, dtype='float32'), None))
            return


def conclude(folder: Path, manifest: Manifest) -> None:
    """When all shards are whole, list what could not be read and say so; by whichever process is the last."""
    shards, problems = open_shards(folder, manifest)
    if problems:
        return  # another process is at them
    unreadable = {name: reason for shard in shards for name, reason in shard.problems.items()}
    text = ''.join(f'{name}\t{reason}\n' for name, reason in unreadable.items())
    # Processes that end in the same moment all see a whole store.
    write_whole(folder / _LIST, lambda path: path.write_text(text), several_writers=True)
    size = sum(shard.path.stat().st_size for shard in shards)
    print(f'{folder} is whole: {sum(map(len, shards))} images, {readable(size)}', flush=True)
    if unreadable:
        print(f'{len(unreadable)} of them could not be read and have no features ({name_some(list(unreadable))}): '
              f'{folder / _LIST}', flush=True)


def print_info(folder: Path) -> None:
    """Print a store's manifest and how much of it is there."""
    manifest = Manifest.load(folder)
    shards, problems = open_shards(folder, manifest)
    size = sum(shard.path.stat().st_size for shard in shards)
    print(json.dumps(manifest.as_json(), indent=2))
    print(f'{len(shards)} of {manifest.shards} shards are whole, with {sum(map(len, shards))} of '
          f'{manifest.images["count"]} images in {readable(size)}; '
          f'{sum(len(shard.problems) for shard in shards)} images could not be read')
    for problem in problems:
        print(problem)


def run_verification(extraction: Extraction, number: int | None, batch_size: int) -> None:
    """Check a store and compare it with the live teacher; print both.

    Args:
        extraction: What was extracted.
        number: Random images to compare; None takes some, after checking every byte of the store.
        batch_size: Images that the teacher gets at a time.

    Raises:
        InputError: The store is another one, damaged, or not what the teacher says.
    """
    folder, images = extraction.folder, extraction.images
    stored = Manifest.load(folder)
    # What is stored is what is verified, however it was asked for.
    like = replace(extraction.manifest, dtype=stored.dtype, images_per_shard=stored.images_per_shard)
    agree(folder, like, 'verify it with the config and the weights that it was made with')
    if number is None:
        with _Progress(stored.shards, 0, 1, 'checking', 'shards') as progress:
            damaged = put_aside_damaged(folder, stored, lambda: progress.advance(1))
        if damaged:
            raise InputError(f'{name_some(damaged)}: the same command without --verify makes '
                             f'{"them" if len(damaged) > 1 else "it"} anew')
        print(f'the checksums of all {len(images)} images agree')
    store = FeatureStore(folder)
    chosen = np.random.default_rng().permutation(len(images))[:number or _VERIFIED_IMAGES]
    result = compare(store, (images[int(place)] for place in sorted(chosen)), extraction.teacher, batch_size)
    print(f'{result.images} random images against the live teacher:\n'
          f'  cosine of a cell                 mean {result.cosine[0]:.6f}  least {result.cosine[1]:.6f}\n'
          f'  the same, each channel normalised over the cells\n'
          f'                                   mean {result.cosine_normalized[0]:.6f}  '
          f'least {result.cosine_normalized[1]:.6f}\n'
          f'  largest error                    {result.max_error:.3g} (of features up to {result.largest:.3g})')
    if not result.good:
        raise InputError(f'the mean cosine is below {LEAST_COSINE}: store another dtype, or leave --no-calibration out')


class _Progress:
    """A bar on a terminal, lines elsewhere; for what this process has to do."""

    def __init__(self, total: int, rank: int, processes: int, doing: str = 'extracting', what: str = 'images') -> None:
        self._total, self._done, self._what, self._start = total, 0, what, time.monotonic()
        self._who = f'process {rank} of {processes}: ' if processes > 1 else ''
        self._bar = Progress(
            TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn('{task.fields[rate]}'),
            TimeElapsedColumn(), TimeRemainingColumn()) if rank == 0 and Console().is_terminal else None

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task('', total=self._total, rate='')
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, number: int, problems: Sequence[str] = ()) -> None:
        """So many more are done; ``problems`` is what could not be read of them."""
        self._done += number
        seconds = time.monotonic() - self._start
        rate = self._done / seconds
        out = self._bar.console.print if self._bar is not None else functools.partial(print, flush=True)
        for problem in problems:
            out(f'no features: {problem}')
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f'{rate:.1f} {self._what}/s')
        else:
            left = (self._total - self._done) / rate
            print(f'{self._who}{self._done} of {self._total} {self._what}, {rate:.1f} {self._what}/s, '
                  f'{left:.0f} s left', flush=True)
