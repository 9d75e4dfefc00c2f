"""Formats for stored features: writing, size, and random slices per second by 1, 4 and 8 processes.

    pip install h5py lmdb zarr
    python benchmarks/feature_stores.py
    python benchmarks/feature_stores.py --formats ours npy --processes 1 --batches 10 --runs 1     # in a minute

The same float16 features of 1000 images, 16 x 16 x 768, in each format. A slice is 14 x 14 cells at a random place of a
random image; 64 of them are copied into one batch, as a loader's worker does. The page cache is warm in all cases.
Formats whose package is missing are left out and named.
"""
import argparse
import importlib.util
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch
from common import store as store_result
from safetensors import safe_open
from safetensors.torch import save_file
from tables import Rows, print_table

from mim_plugins.offline import FeatureStore, Manifest, write_shard
from mim_plugins.offline.shards import Entry

IMAGES, SIDE, CROP, WIDTH, BATCH = 1000, 16, 14, 768, 64
Read = Callable[[int, int, int], torch.Tensor]
_together: list[Barrier] = []  # where a pool's processes meet


def cut(grid, row: int, column: int):
    return grid[row:row + CROP, column:column + CROP]


class Ours:
    """This package's store, by image name, with all its checks but that of the image file."""

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        manifest = Manifest(teacher={}, middle_image={}, channels=WIDTH, dtype='float16', views=('identity', ),
                            images=dict(count=IMAGES), images_per_shard=250)
        for number in range(manifest.shards):
            write_shard(folder, number, [
                Entry(f'{place}.jpg', bytes(16), (SIDE, SIDE), features[place].flatten(0, 1))
                for place in manifest.shard(number)], manifest)
        manifest.save(folder)

    @staticmethod
    def reader(folder: Path) -> Read:
        store = FeatureStore(folder)
        return lambda place, row, column: store.read(f'{place}.jpg', (row, column, row + CROP, column + CROP))[0]


class Safetensors:
    """One tensor, sliced by get_slice."""

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        save_file(dict(features=features), folder / 'a.safetensors')

    @staticmethod
    def reader(folder: Path) -> Read:
        file = safe_open(folder / 'a.safetensors', 'pt')
        part = file.get_slice('features')
        return lambda place, row, column: part[place, row:row + CROP, column:column + CROP]


class Npy:
    """A memory map of one array."""

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        np.save(folder / 'a.npy', features.numpy())

    @staticmethod
    def reader(folder: Path) -> Read:
        array = np.load(folder / 'a.npy', mmap_mode='c')
        return lambda place, row, column: torch.from_numpy(cut(array[place], row, column))


class HDF5:
    """A chunk for each image."""
    package = 'h5py'

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        import h5py
        with h5py.File(folder / 'a.h5', 'w') as file:
            file.create_dataset('features', data=features.numpy(), chunks=(1, SIDE, SIDE, WIDTH))

    @staticmethod
    def reader(folder: Path) -> Read:
        import h5py
        data = h5py.File(folder / 'a.h5')['features']
        return lambda place, row, column: torch.from_numpy(data[place, row:row + CROP, column:column + CROP])


class LMDB:
    """A value for each image."""
    package = 'lmdb'

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        import lmdb
        with lmdb.open(str(folder), map_size=2 * features.nbytes) as database, database.begin(write=True) as writing:
            for place, one in enumerate(features):
                writing.put(b'%d' % place, one.numpy().tobytes())

    @staticmethod
    def reader(folder: Path) -> Read:
        import lmdb
        reading = lmdb.open(str(folder), readonly=True, lock=False).begin(buffers=True)

        def read(place: int, row: int, column: int) -> torch.Tensor:
            grid = np.frombuffer(reading.get(b'%d' % place), np.float16).reshape(SIDE, SIDE, WIDTH)
            return torch.from_numpy(cut(grid, row, column).copy())

        return read


class Zarr:
    """Format 3: a chunk for each image, shards of 250."""
    package = 'zarr'

    @staticmethod
    def write(features: torch.Tensor, folder: Path) -> None:
        import zarr
        array = zarr.create_array(store=str(folder / 'a.zarr'), shape=features.shape, dtype='float16', compressors=None,
                                  chunks=(1, SIDE, SIDE, WIDTH), shards=(250, SIDE, SIDE, WIDTH))
        array[:] = features.numpy()

    @staticmethod
    def reader(folder: Path) -> Read:
        import zarr
        array = zarr.open_array(str(folder / 'a.zarr'), mode='r')
        return lambda place, row, column: torch.from_numpy(array[place, row:row + CROP, column:column + CROP])


FORMATS = dict(ours=Ours, safetensors=Safetensors, npy=Npy, hdf5=HDF5, lmdb=LMDB, zarr=Zarr)


def meet_at(barrier: Barrier) -> None:
    """Tell a process of a pool where to wait for the others."""
    _together.append(barrier)


def read_batches(job: tuple[str, Path, int, int]) -> float:
    """Seconds that a process takes for some batches, after one to open the files."""
    name, folder, batches, seed = job
    torch.set_num_threads(1)
    read, dice = FORMATS[name].reader(folder), random.Random(seed)

    def batch() -> None:
        torch.stack([read(dice.randrange(IMAGES), dice.randrange(SIDE - CROP + 1), dice.randrange(SIDE - CROP + 1))
                     for _ in range(BATCH)])

    batch()
    _together[0].wait()
    start = time.perf_counter()
    for _ in range(batches):
        batch()
    return time.perf_counter() - start


def rate(pool: Pool, name: str, folder: Path, processes: int, batches: int) -> float:
    """Slices per second of all processes of a pool together."""
    seconds = pool.map(read_batches, [(name, folder, batches, seed) for seed in range(processes)], chunksize=1)
    return processes * batches * BATCH / max(seconds)


def rows(result: dict) -> Rows:
    return [{'Format': name, 'write s': f'{found["write_seconds"]:.2f}', 'MB': f'{found["bytes"] / 1e6:.1f}',
             **{f'slices/s by {processes}': f'{speed:.0f}' for processes, speed in found['slices_per_second'].items()}}
            for name, found in result['results'].items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batches', type=int, default=40, help='of 64 slices for each process (default: 40)')
    parser.add_argument('--runs', type=int, default=3, help='of which the best is taken (default: 3)')
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=list(FORMATS), help='default: all')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 4, 8],
                        help='that read together (default: 1 4 8)')
    args = parser.parse_args()
    torch.manual_seed(0)
    features = torch.randn(IMAGES, SIDE, SIDE, WIDTH).half()
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.formats:
            kind = FORMATS[name]
            package = getattr(kind, 'package', 'safetensors')
            if importlib.util.find_spec(package) is None:
                print(f'{name} is left out: no module {package}')
                continue
            folder, seconds = Path(temporary) / name, []
            for _ in range(args.runs):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                start = time.perf_counter()
                kind.write(features, folder)
                seconds.append(time.perf_counter() - start)
            size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
            results[name] = dict(write_seconds=min(seconds), bytes=size, slices_per_second={})
        context = multiprocessing.get_context('spawn')
        for processes in args.processes:
            with context.Pool(processes, meet_at, (context.Barrier(processes), )) as pool:
                for _ in range(args.runs):
                    for name, found in results.items():  # the formats in turn
                        rates, speed = found['slices_per_second'], rate(
                            pool, name, Path(temporary) / name, processes, args.batches)
                        rates[processes] = max(rates.get(processes, 0), speed)
    result = dict(features=[IMAGES, SIDE, SIDE, WIDTH], crop=CROP, results=json.loads(json.dumps(results)))
    print_table(rows(result))
    print(f'stored in {store_result("feature_stores", result, torch.device("cpu"))}')


if __name__ == '__main__':
    main()
