"""Whether loading stays as fast when the data set grows: time per picture, start-up, and memory of a worker's index.

    python benchmarks/growth.py                    # folders of 1k, 10k and 100k pictures, a list of 1.3 million
    python benchmarks/growth.py --entries 130000   # a shorter list

Small JPEGs and links to them stand for the pictures; they are written to a temporary folder and removed.
"""
import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import common
import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedInfiniteSampler, KeyedSampler, LoadAndCrop, UnlabelledImages
from mim_plugins.datasets.image_files import scan_folder

FOLDERS = 1000
DRAWN = 1000  # pictures that are timed in each folder
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
    """A file ``list.txt`` of ``entries`` empty files in :data:`FOLDERS` folders, and those files."""
    with open(root / 'list.txt', 'w') as lines:
        for folder in range(FOLDERS):
            (root / f'n{folder:08}').mkdir()
            first = root / f'n{folder:08}' / f'n{folder:08}_0.JPEG'
            first.touch()
            for index in range(entries // FOLDERS):
                name = f'n{folder:08}/n{folder:08}_{index}.JPEG'
                if index:
                    os.link(first, root / name)
                lines.write(f'{name} {folder}\n')


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def per_picture(dataset: UnlabelledImages) -> Callable[[], None]:
    """Loads pictures in a sampler's order, others in each call."""
    keys = iter(KeyedInfiniteSampler(dataset, seed=0))
    return lambda: [dataset[next(keys)] for _ in range(DRAWN // 5)]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pictures', type=int, nargs='+', default=[1000, 10000, 100000], help='in a folder')
    parser.add_argument('--entries', type=int, default=1_300_000, help='of the list (default: %(default)s)')
    args = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {number: Path(temporary, str(number)) for number in args.pictures}
        for number, folder in folders.items():
            write_pictures(folder, number)
        datasets = {str(number): UnlabelledImages(str(folder), pipeline=[LoadAndCrop(CROP)])
                    for number, folder in folders.items()}
        timed = common.interleaved({name: per_picture(dataset) for name, dataset in datasets.items()}, runs=4)
        result['us_per_picture'] = {name: times['median'] / (DRAWN // 5) * 1e6 for name, times in timed.items()}
        root = Path(temporary, 'list')
        root.mkdir()
        write_list(root, args.entries)
        small, large = UnlabelledImages(str(folders[args.pictures[0]])), None

        def start() -> None:
            nonlocal large
            large = UnlabelledImages(str(root), ann_file='list.txt')

        sampler = KeyedSampler(range(args.entries), shuffle=True, seed=0)
        result['start_of_a_list'] = dict(
            entries=args.entries, reading_s=median(seconds(start) for _ in range(3)),
            scanning_the_folders_s=seconds(lambda: scan_folder(str(root), ['.JPEG'])),
            first_batch_of_keys_s=median(seconds(lambda: [key for key, _ in zip(sampler, range(256))])
                                         for _ in range(3)))
        result['index_mb_per_worker'] = {
            start: (worker_memory(large, start) - worker_memory(small, start)) / 1e6 for start in ('fork', 'spawn')}
    for name, values in result.items():
        print(name, {key: round(value, 3) for key, value in values.items()})
    print('stored in', common.store('growth', result))


if __name__ == '__main__':
    main()
