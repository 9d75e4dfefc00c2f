"""Whether loading stays as fast when the data set grows: time per picture, start-up, and memory of a worker's index.

    python benchmarks/growth.py                    # folders of 1k, 10k and 100k pictures, a list of 1.3 million
    python benchmarks/growth.py --entries 130000   # a shorter list

Small JPEGs and hard links to them stand for the pictures. The list names a file in each line, in 1000 folders, as
ImageNet's does; the folders are links to a few real ones that hold as many empty files. Reading it looks into each of
the 1000 all the same, but finds the few in the file system's cache. Since a scan visits a folder once however it is
linked, it is timed on the largest folder of pictures instead. All lies in a temporary folder and is removed.
"""
import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from aims import judged, sentence
from common import interleaved, store
from PIL import Image
from tables import Rows, milliseconds, print_table
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedInfiniteSampler, KeyedSampler, LoadAndCrop, UnlabelledImages
from mim_plugins.datasets.image_files import scan_folder

FOLDERS = 1000  # of the list
REAL_FOLDERS = 10  # that they are links to
DRAWN = 200  # pictures that are timed in a run
RUNS = 9
FLAT = 1.1  # times as long per picture counts as flat
LINKS = 1000  # to one file: file systems have limits
CROP = dict(type='mim_plugins.RandomResizedCrop', scale=64, backend='pillow', interpolation='bicubic')


def write_pictures(root: Path, number: int) -> None:
    """``number`` names in ten folders, each for one of ``number / LINKS`` files."""
    noise = np.random.default_rng(0)
    for folder in range(10):
        (root / str(folder)).mkdir(parents=True)
    for index in range(number):
        path, first = (root / str(place % 10) / f'{place:06}.jpg' for place in (index, index // LINKS * LINKS))
        if index % LINKS:
            os.link(first, path)
        else:
            small = Image.fromarray(noise.integers(256, size=(12, 16, 3), dtype=np.uint8))
            small.resize((128, 96)).save(path)


def write_list(root: Path, entries: int) -> None:
    """A file ``list.txt`` of ``entries`` empty files in :data:`FOLDERS` folders, those folders and their files."""
    for number in range(REAL_FOLDERS):
        real = root / f'real{number}'
        real.mkdir(parents=True)
        for index in range(entries // FOLDERS):
            (real / f'n{number:08}_{index}.JPEG').touch()
    with open(root / 'list.txt', 'w') as lines:
        for folder in range(FOLDERS):
            number = folder % REAL_FOLDERS
            (root / f'n{folder:08}').symlink_to(root / f'real{number}')
            for index in range(entries // FOLDERS):
                lines.write(f'n{folder:08}/n{number:08}_{index}.JPEG {folder}\n')


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def per_picture(dataset: UnlabelledImages) -> Callable[[], None]:
    """Loads pictures in a sampler's order, others in each call."""
    keys = iter(KeyedInfiniteSampler(dataset, seed=0))
    return lambda: [dataset[next(keys)] for _ in range(DRAWN)]


def own_memory(results: dict) -> int:
    """Bytes that this process shares with no other: what one worker more costs."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith('Private'))


def worker_memory(dataset: UnlabelledImages, start: str) -> int:
    """Bytes of a worker's own after 2000 samples."""
    dataset.pipeline.transforms = [own_memory]
    loader = DataLoader(dataset, 100, sampler=KeyedSampler(dataset, shuffle=True, seed=0), num_workers=1,
                        collate_fn=max, multiprocessing_context=start)
    return max(memory for memory, _ in zip(loader, range(20)))


def times_in_folders(folders: dict[int, Path]) -> dict[str, dict[str, float]]:
    """Seconds per picture of each folder, timed in turn."""
    calls = {}
    for number, folder in folders.items():
        write_pictures(folder, number)
        calls[str(number)] = per_picture(UnlabelledImages(str(folder), pipeline=[LoadAndCrop(CROP)]))
    return {name: {kind: value / DRAWN for kind, value in times.items()}
            for name, times in interleaved(calls, runs=RUNS, calls=1).items()}


def start_of_list(root: Path, entries: int) -> dict[str, float]:
    """Seconds until the data set of a list is there, and until a sampler gives the keys of a first batch."""
    sampler = KeyedSampler(range(entries), shuffle=True, seed=0)
    return dict(
        reading_s=median(seconds(lambda: UnlabelledImages(str(root), ann_file='list.txt')) for _ in range(3)),
        first_keys_s=median(seconds(lambda: list(islice(sampler, 256))) for _ in range(3)))


def rows(result: dict) -> Rows:
    return [{'Pictures in the folder': f'{int(number):,}', 'ms per picture': milliseconds(times)}
            for number, times in result['seconds_per_picture'].items()]


def notes(result: dict) -> list[str]:
    """What the table does not say, with the aims."""
    medians = [times['median'] for times in result['seconds_per_picture'].values()]
    start, scan, entries = result['start'], result['scan'], f'{result["entries"]:,}'
    return [
        sentence(judged(f'The largest folder takes {medians[-1] / medians[0]:.2f} times as long per picture as the '
                        'smallest', medians[-1] / medians[0], ('<=', FLAT))),
        sentence(judged(f'A list of {entries} files is read in {start["reading_s"]:.1f} s and its first keys are drawn '
                        f'in {start["first_keys_s"]:.2f} s', sum(start.values()), ('<=', 10))),
        f'A folder of {scan["files"]:,} files is scanned in {scan["seconds"]:.1f} s.',
        *(sentence(judged(f'The index of {entries} files costs a worker {size:.0f} MB ({way})', size, ('<=', 300)))
          for way, size in result['index_mb_per_worker'].items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pictures', type=int, nargs='+', default=[1000, 10000, 100000], help='in a folder, rising')
    parser.add_argument('--entries', type=int, default=1_300_000, help='of the list (default: %(default)s)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {number: Path(temporary, str(number)) for number in args.pictures}
        times, largest, root = times_in_folders(folders), folders[args.pictures[-1]], Path(temporary, 'list')
        scan = dict(files=args.pictures[-1], seconds=seconds(lambda: scan_folder(str(largest), ['.jpg'])))
        write_list(root, args.entries)
        start = start_of_list(root, args.entries)
        small = UnlabelledImages(str(folders[args.pictures[0]]))
        large = UnlabelledImages(str(root), ann_file='list.txt')
        memory = {way: (worker_memory(large, way) - worker_memory(small, way)) / 1e6 for way in ('fork', 'spawn')}
    result = dict(seconds_per_picture=times, entries=args.entries, start=start, scan=scan, index_mb_per_worker=memory)
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("growth", result)}')


if __name__ == '__main__':
    main()
