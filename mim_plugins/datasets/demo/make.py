"""Making the whole demo data set, in several processes, all or nothing."""
from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mim_plugins.errors import InputError

from .options import DemoOptions
from .writers import SPLITS, Split, coco_json, folders, write_range

META = 'meta.json'
GENERATOR = 1  # raised whenever the same options would give other bytes
CHUNK = 100  # pictures handed to a process at a time
SMALL = 5  # chunks that are made sooner than further processes start
MOST_WORKERS = 8  # beyond which starting them takes longer than their work


@dataclass(frozen=True)
class DemoReport:
    """What ``make_demo_data`` did.

    Attributes:
        counts: Number of pictures of each split.
        made: False where the same data was there already.
    """

    out: Path
    counts: dict[str, int]
    made: bool


def make_demo_data(
    out: str | Path,
    options: DemoOptions | None = None,
    workers: int | None = None,
    force: bool = False,
) -> DemoReport:
    """Write the demo data; the bytes depend on the options alone, not on the number of workers.

    The files are written to a hidden folder beside ``out``, which is renamed at the end.

    Args:
        workers: Number of processes; not given, about one for each usable CPU, or this one alone
            for a small set.
        force: Replace a folder that this function made with other options.

    Raises:
        InputError: If ``out`` holds something else, or cannot be written.
    """
    out = Path(out).expanduser().absolute()
    options = options or DemoOptions()
    splits = [split for split in SPLITS if split.name.split('/')[0] in options.sets]
    counts = {split.name: getattr(options, split.count) for split in splits}
    if _holds_same(out, options, force):
        return DemoReport(out, counts, made=False)

    hidden = out.with_name(f'.{out.name}.partial-{os.getpid()}')
    try:
        for split in splits:
            for folder in folders(split):
                (hidden / folder).mkdir(parents=True, exist_ok=True)
        _write_splits(hidden, splits, options, workers)
        meta = {
            'generator': GENERATOR, 'options': options.to_json(), 'counts': counts,
            'versions': _versions()}
        (hidden / META).write_text(json.dumps(meta, indent=2) + '\n')
        _swap_in(hidden, out)
    except OSError as error:
        raise InputError(f'the demo data could not be written to {out}: {error}') from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return DemoReport(out, counts, made=True)


def _holds_same(out: Path, options: DemoOptions, force: bool) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        meta = json.loads((out / META).read_text())
        made_with = (meta['generator'], meta['options'])
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(
            f'expected a new or empty folder, or demo data, but {out} holds other files') from None
    if made_with == (GENERATOR, options.to_json()):
        return True
    if not force:
        raise InputError(
            f'{out} holds demo data made with other options; name another folder, or replace it '
            'with --force')
    return False


def _write_splits(
        out: Path, splits: list[Split], options: DemoOptions, workers: int | None) -> None:
    jobs = []
    for split in splits:
        total = getattr(options, split.count)
        jobs += [(split, at, min(at + CHUNK, total)) for at in range(0, total, CHUNK)]
    if workers is None:
        workers = 1 if len(jobs) <= SMALL else min(_usable_cpus(), MOST_WORKERS)
    write = partial(_write_job, out, options)
    if workers <= 1:
        results = list(map(write, jobs))
    else:
        # A fork of a process that has started threads may hang.
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
            results = list(pool.map(write, jobs))
    for split in splits:
        kind, _, part = split.name.partition('/')
        if kind == 'detection':
            records = [record for job, found in zip(jobs, results, strict=True)
                       if job[0] is split for record in found]
            path = out / kind / 'annotations' / f'instances_{part}.json'
            path.write_text(json.dumps(coco_json(records)))


def _write_job(out: Path, options: DemoOptions, job: tuple[Split, int, int]) -> list:
    return write_range(out, *job, options)


def _usable_cpus() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _swap_in(hidden: Path, out: Path) -> None:
    if out.exists():
        # Renaming first keeps ``out`` from ever holding half of the old data.
        old = out.with_name(f'.{out.name}.old-{os.getpid()}')
        out.rename(old)
        hidden.rename(out)
        shutil.rmtree(old)
    else:
        hidden.rename(out)


def _versions() -> dict[str, str | None]:
    found = {}
    for name in ('numpy', 'scikit-learn', 'scikit-image', 'pillow'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
