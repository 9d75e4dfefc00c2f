"""Pack a folder of images into one file, their short sides no longer than training needs.

    python tools/pack_images.py data/imagenet/train data/imagenet_256 --short-side 256 --workers 16
    python tools/train.py CONFIG --data-root data/imagenet_256 --fast-loading

JPEGs that are small enough are copied as they are; larger ones, and other kinds of files, become JPEGs of 8-bit colour
that stand upright. Files that cannot be read are left out and named in OUT/manifest.json. OUT appears when it is whole;
a run that was stopped begins anew. docs/loading.md says when it helps.
"""
import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError

_EVERY = 20  # seconds


def telling(pictures: int) -> Callable[[int], None]:
    """Print a line now and then of how many are done."""
    start = told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _EVERY:
            told = now
            print(f'{done} of {pictures} pictures in {now - start:.0f} s', flush=True)

    return tell


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='folder of images')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--short-side', type=int, default=256, help='pixels at most (default: %(default)s)')
    parser.add_argument('--quality', type=int, default=95, help='of JPEGs that are written (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')
    args = parser.parse_args(arguments)
    if not args.source.is_dir():
        raise InputError(f'expected a folder of images at {args.source}')
    if args.workers < 1:
        raise InputError(f'packing needs at least one process, but --workers is {args.workers}')
    from mim_plugins.datasets.packed_writing import Packing, PackSettings, readable_size
    packing = Packing(args.source, args.out, PackSettings(args.short_side, args.quality))
    print(f'{len(packing)} pictures; estimate: {readable_size(packing.check_room())} packed', flush=True)
    manifest = packing.run(args.workers, telling(len(packing)))
    for name, reason in manifest['skipped'].items():
        print(f'left out {name}: {reason}')
    print(f'{manifest["count"]} pictures packed in {args.out}, {len(manifest["skipped"])} left out')


if __name__ == '__main__':
    cli.run(main, go_on='nothing was written')
