"""Loading of pictures for pre-training on one core: mmpretrain's pipelines, ours, and the fast one.

    python benchmarks/loader.py                  # on 500 x 375 px JPEGs that are made for it
    python benchmarks/loader.py --data pictures  # on the JPEGs of a folder

All draw a random resized crop, flip and pack. Times are interleaved; PSNR compares with `ours`, Pillow on the whole
picture, on the same crops: its mean and 5th percentile. `fast` decodes at a fraction of the size that leaves the crop
at least `margin` times as large as the output, with margin inf at full size. With a GPU, decoding on it is timed too.
"""
import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from aims import judged, sentence
from common import interleaved, store
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from pictures import write_jpegs
from tables import Rows, print_table
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedSampler, UnlabelledImages
from mim_plugins.datasets.packed_writing import Packing, PackSettings
from mim_plugins.datasets.transforms.jpeg_header import read_header
from mim_plugins.datasets.transforms.scaled_decoding import choose_fraction, decode_jpeg, resize_region
from mim_plugins.ops.jpeg_crops import decode_crops
from mim_plugins.registry import TRANSFORMS

SIZES = (128, 192, 224)
MARGINS = (1., 1.25, 1.5, float('inf'))
TAIL = [dict(type='RandomFlip', prob=.5), dict(type='PackInputs')]
LOAD = dict(type='mim_plugins.LoadRGBImage')
PASS = 50  # pictures in a timed pass
BATCH = 32
REFERENCE, CHOSEN = 'mmpretrain pillow', 'fast, margin 1.25'


def crop(size: int, owner: str = 'mim_plugins', backend: str = 'pillow') -> dict:
    return dict(type=f'{owner}.RandomResizedCrop', scale=size, crop_ratio_range=(.2, 1.), backend=backend,
                interpolation='bicubic')


def fast(size: int, margin: float = 1.25) -> list[dict]:
    flip, pack = TAIL
    return [dict(type='mim_plugins.LoadAndCrop', crop=crop(size), margin=margin),
            dict(flip, type='mim_plugins.RandomFlip'), pack]


def pipelines(size: int) -> dict[str, list[dict]]:
    theirs = dict(type='LoadImageFromFile')
    return {
        REFERENCE: [theirs, crop(size, 'mmpretrain'), *TAIL],
        'mmpretrain cv2': [theirs, crop(size, 'mmpretrain', 'cv2'), *TAIL],
        'ours': [LOAD, crop(size), *TAIL],
        **{f'fast, margin {margin:g}': fast(size, margin) for margin in MARGINS},
    }


def one_pass(pipeline: Compose, paths: list[str]) -> None:
    np.random.seed(0)  # the same crops for all
    for path in paths:
        pipeline(dict(img_path=path))


def rates(calls: dict[str, Callable[[], object]], pictures: int, runs: int) -> dict[str, dict[str, float]]:
    """Pictures per second: median, least and most, and how many times the first one's."""
    timed = interleaved(calls, runs, calls=1)
    reference = timed[next(iter(timed))]['median']
    return {name: dict(per_second=pictures / times['median'], least=pictures / times['max'],
                       most=pictures / times['min'], ratio=reference / times['median'])
            for name, times in timed.items()}


def cropped(steps: list[dict], path: str, seed: int) -> np.ndarray:
    np.random.seed(seed)
    return Compose(steps)(dict(img_path=path))['img'].astype(float)


def psnr(paths: list[str], size: int) -> dict[str, dict[str, float]]:
    """Mean and 5th percentile in dB against whole pictures resized by Pillow."""
    slow = [TRANSFORMS.build(LOAD), TRANSFORMS.build(crop(size))]
    whole = [cropped(slow, path, seed) for seed, path in enumerate(paths)]
    found = {}
    for margin in MARGINS:
        quick = [TRANSFORMS.build(fast(size, margin)[0])]
        errors = [np.mean((cropped(quick, path, seed) - whole[seed])**2) for seed, path in enumerate(paths)]
        values = 10 * np.log10(255**2 / np.maximum(errors, 1e-3))
        found[f'fast, margin {margin:g}'] = dict(mean=float(values.mean()), p5=float(np.percentile(values, 5)))
    return found


def stages(paths: list[str], size: int, runs: int) -> dict[str, float]:
    """Microseconds for each part of fast loading."""
    contents = [Path(path).read_bytes() for path in paths]
    headers = [read_header(content) for content in contents]
    planner, rest = TRANSFORMS.build(crop(size)), Compose(TAIL)
    plans = [planner.plan(header.size, {}) for header in headers]
    fractions = [choose_fraction(plan, 1.25) for plan in plans]
    needed = [(content, header, fraction, plan.region[2]) for content, header, fraction, plan in zip(
        contents, headers, fractions, plans)]
    images = [decode_jpeg(*given) for given in needed]
    results = [resize_region(*given, 'bicubic') for given in zip(images, plans, fractions)]
    parts = {
        'read': lambda: [Path(path).read_bytes() for path in paths],
        'header': lambda: [read_header(content) for content in contents],
        'draw': lambda: [planner.plan(header.size, {}) for header in headers],
        'decode': lambda: [decode_jpeg(*given) for given in needed],
        'decode whole': lambda: [decode_jpeg(*given, 1) for given in zip(contents, headers)],
        'resize': lambda: [resize_region(*given, 'bicubic') for given in zip(images, plans, fractions)],
        'flip and pack': lambda: [rest(dict(img=image, img_path='', img_shape=image.shape)) for image in results],
    }
    return {name: times['median'] / len(paths) * 1e6 for name, times in interleaved(parts, runs, calls=1).items()}


def load_all(dataset: UnlabelledImages, workers: int) -> None:
    loader = DataLoader(dataset, BATCH, sampler=KeyedSampler(dataset, shuffle=True, seed=0), num_workers=workers,
                        collate_fn=default_collate)
    for _ in loader:
        pass


def on_gpu(paths: list[str], size: int, runs: int) -> dict[str, dict[str, float]]:
    """Reading on one core and decoding on the GPU."""
    reading = TRANSFORMS.build(dict(type='mim_plugins.PackEncodedCrop', crop=crop(size)))
    crops = [reading(dict(img_path=path))['inputs'] for path in paths]
    calls = {'reading': lambda: [reading(dict(img_path=path)) for path in paths],
             'decoding and cropping': lambda: decode_crops(crops, 'cuda')}
    return rates(calls, len(paths), runs)


def datasets(folder: Path, packed: Path, size: int) -> dict[str, Any]:
    """Through a loader, with keyed randomness."""
    return {
        'ours': UnlabelledImages(str(folder), pipeline=[LOAD, crop(size), *TAIL]),
        'fast': UnlabelledImages(str(folder), pipeline=fast(size)),
        'packed, fast': UnlabelledImages(str(packed), pipeline=fast(size)),
    }


def _rates(found: dict[str, dict[str, float]]) -> str:
    return ', '.join(f'{name} {rate["per_second"]:.0f}/s ({rate["least"]:.0f}-{rate["most"]:.0f})'
                     for name, rate in found.items())


def rows(result: dict) -> Rows:
    table = []
    for name in result['images_per_second'][str(SIZES[0])]:
        row = {'Pipeline': name}
        for size, found in result['images_per_second'].items():
            rate, likeness = found[name], result['psnr_db'][size].get(name)
            row[f'{size} px: pictures/s'] = f'{rate["per_second"]:.0f} ({rate["least"]:.0f}-{rate["most"]:.0f})'
            row[f'{size} px: ratio'] = f'{rate["ratio"]:.2f}'
            row[f'{size} px: PSNR, dB'] = f'{likeness["mean"]:.1f}, {likeness["p5"]:.1f}' if likeness else ''
        table.append(row)
    return table


def notes(result: dict) -> list[str]:
    """What the table does not say: the setting, the aim, the parts, loaders with workers, and a GPU."""
    size = str(SIZES[0])
    ratio = result['images_per_second'][size][CHOSEN]['ratio']
    return [
        f'One core; {result["pictures"]} JPEGs of {result["mean_kb"]:.0f} kB on average, timed on '
        f'{min(PASS, result["pictures"])} of them, '
        f'median (min-max) of {result["runs"]}; PSNR: mean, 5th percentile.',
        sentence(judged(f'{CHOSEN} at {size} px: {ratio:.2f} times the pictures/s of {REFERENCE}', ratio, ('>=', 3))),
        *(f'Microseconds of its parts at {size} px: {", ".join(f"{name} {us:.0f}" for name, us in parts.items())}.'
          for size, parts in result['stages_us'].items()),
        *(f'Through a loader with {number} worker{"s" * (number != "1")}, {size} px, batches of {BATCH}, its start '
          f'included: {_rates(found)}.' for number, found in result['loader_images_per_second'].items()),
        *(f'With a GPU, {size} px: {_rates(found)}.' for size, found in result['gpu_images_per_second'].items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, help='folder of JPEGs')
    parser.add_argument('--pictures', type=int, default=300, help='to use of them (default: %(default)s)')
    parser.add_argument('--runs', type=int, default=9, help='of which the median is taken (default: %(default)s)')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    result: dict[str, Any] = dict(images_per_second={}, psnr_db={}, stages_us={}, gpu_images_per_second={},
                                  loader_images_per_second={})
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.data or Path(temporary, 'pictures')
        if not args.data:
            write_jpegs(folder, args.pictures)
        packed = Path(temporary, 'packed')
        Packing(folder, packed, PackSettings()).run(len(os.sched_getaffinity(0)))
        paths = [str(path) for path in sorted(folder.rglob('*.[jJ]*'))][:args.pictures]
        result.update(pictures=len(paths), runs=args.runs, mean_kb=sum(map(os.path.getsize, paths)) / len(paths) / 1e3)
        passed = paths[:PASS]
        for size in SIZES:
            key = str(size)
            calls = {name: partial(one_pass, Compose(steps), passed) for name, steps in pipelines(size).items()}
            small = UnlabelledImages(str(packed), pipeline=fast(size), indices=len(passed))
            calls['packed, fast'] = lambda small=small: [small[index] for index in range(len(small))]
            result['images_per_second'][key] = rates(calls, len(passed), args.runs)
            result['psnr_db'][key] = psnr(paths, size)
            result['stages_us'][key] = stages(passed, size, args.runs)
            if torch.cuda.is_available():
                result['gpu_images_per_second'][key] = on_gpu(paths, size, args.runs)
        for workers in (1, 2):
            calls = {name: partial(load_all, dataset, workers)
                     for name, dataset in datasets(folder, packed, SIZES[0]).items()}
            result['loader_images_per_second'][str(workers)] = rates(calls, len(paths), max(args.runs // 3, 1))
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("loader", result)}')


if __name__ == '__main__':
    main()
