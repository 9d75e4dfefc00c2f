"""A training step from stored features against one with the teacher beside it, and what reading costs.

    python benchmarks/offline_targets.py

One student, ViT-B/16 at 224 px with a decoder of one block, in one run: pixels as target (MAE); stored int8 features of
a teacher 768 or 1024 wide (FastMAE with ALM); the same with a ViT-B or ViT-L as teacher in every step, on the middle
image of 256 px, which gives the same target, or on the crop alone. A step is preprocessor, forward, backward and AdamW,
from batches in memory: float32 on a CPU, bfloat16 on a GPU. Memory is the peak of a process of its own, with teacher,
weights and optimizer: on a GPU as torch counts it, on a CPU what it grows by after the imports. Weights and features
are random. Reading is measured with workers that only read, and in a training's own loader on JPEG files.
"""
import functools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from candidates import stored_features
from common import arguments, in_own_process, interleaved, peak_growth, store
from mmengine.config import Config
from mmengine.dataset import default_collate
from PIL import Image
from stepping import Step, quiet
from tables import Rows, mebibytes, milliseconds, print_table
from torch.utils.data import DataLoader

from mim_plugins.datasets import UnlabelledImages
from mim_plugins.offline import Entry, FeatureStore, Manifest, content_hash, write_shard
from mim_plugins.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs/_base_'
WIDTHS = dict(B=768, L=1024)
TEACHERS = dict(B='mae_vit-base', L='mae_vit-large')
NAMES = ('pixel', *(f'{kind} {size}' for size in WIDTHS for kind in ('offline', 'online', 'online on the crop')))
IMAGES, WORKERS = 512, 8


def step(name: str, batch: int, device: torch.device) -> Step:
    """A training step of one of the candidates."""
    quiet()
    torch.manual_seed(0)
    kind, _, size = name.rpartition(' ')
    config = Config.fromfile(CONFIGS / 'models/fastmae_vit-base.py').model
    images = torch.randint(256, (batch, 3, 224, 224), dtype=torch.uint8, device=device)
    data = dict(inputs=images, data_samples=[])
    if name == 'pixel':
        config.type, config.neck.channels_last = 'mim_plugins.MAE', True
        config.target_generator = dict(type='mim_plugins.PixelTarget', norm_patch=16)
    elif kind == 'offline':
        width = WIDTHS[size]
        config.target_generator.channels = width
        data['target_inputs'] = stored_features(batch, device, width)
    else:
        teacher = Config.fromfile(CONFIGS / f'teachers/{TEACHERS[size]}.py').teacher
        teacher.update(checkpoint=None, random_weights=True, norm='patch', from_middle=kind == 'online',
                       dtype='bfloat16' if device.type == 'cuda' else 'float32')
        config.target_generator = teacher
        if kind == 'online':
            data['target_inputs'] = dict(
                middle=torch.randint(256, (batch, 3, 256, 256), dtype=torch.uint8, device=device),
                grid_box=torch.tensor([[1, 2, 15, 16]] * batch, device=device))
    model = MODELS.build(config)
    model.init_weights()
    return Step(model, data, device)


def peak_memory(name: str, batch: int, device: torch.device) -> int:
    """Bytes that a training of three steps needs at most, from the building of the model on."""
    def train() -> None:
        run = step(name, batch, device)
        for _ in range(3):
            run()

    return peak_growth(train, device)


def write_images_and_store(folder: Path, width: int = WIDTHS['B']) -> None:
    """JPEG files of 500 x 375 px and a store with random features of them."""
    random = np.random.default_rng(0)
    manifest = Manifest(
        teacher=dict(name='random', sha256=''), channels=width, dtype='int8', views=('identity', ),
        middle_image=dict(decoder='LoadRGBImage', size=[256, 256], patch=16, grid=[16, 16], fit='stretch',
                          backend='pillow', interpolation='bicubic'), images=dict(count=IMAGES), images_per_shard=128)
    (folder / 'images').mkdir()
    (folder / 'store').mkdir()
    for number in range(manifest.shards):
        entries = []
        for place in manifest.shard(number):
            path = folder / 'images' / f'{place:04}.jpg'
            coarse = Image.fromarray(random.integers(256, size=(24, 32, 3), dtype=np.uint8))
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=95)
            features = torch.from_numpy(random.integers(-127, 128, size=(256, width), dtype=np.int8))
            entries.append(Entry(path.name, content_hash(path.read_bytes()), (16, 16), features, torch.rand(256)))
        write_shard(folder / 'store', number, entries, manifest)
    manifest.save(folder / 'store')


def read_slices(seed: int, folder: Path, batches: int) -> float:
    """Slices per second of one worker that does nothing else, in batches of 64."""
    torch.set_num_threads(1)
    features, dice = FeatureStore(folder / 'store'), np.random.default_rng(seed)

    def batch() -> None:
        torch.stack([features.read(f'{place:04}.jpg', (top, 0, top + 14, 14))[0] for place, top in zip(
            dice.integers(IMAGES, size=64), dice.integers(3, size=64).tolist(), strict=True)])

    batch()
    start = time.perf_counter()
    for _ in range(batches):
        batch()
    return 64 * batches / (time.perf_counter() - start)


def loader(folder: Path, batch: int, stored: bool) -> DataLoader:
    """The training's own loader, with or without the reading of features."""
    read = [dict(type='mim_plugins.LoadOfflineTarget', store=str(folder / 'store'), image_root=str(folder / 'images'))]
    dataset = UnlabelledImages(str(folder / 'images'), pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), dict(type='mim_plugins.GridAlignedCrop', scale=224),
        *(read if stored else []), dict(type='mim_plugins.PackInputs')])
    return DataLoader(dataset, batch, num_workers=WORKERS, persistent_workers=True, collate_fn=default_collate)


def pass_through(data: DataLoader) -> float:
    """Images per second of a loader, after one pass that starts the workers."""
    for _ in data:
        pass
    start = time.perf_counter()
    for _ in data:
        pass
    return IMAGES / (time.perf_counter() - start)


def waiting(data: DataLoader, run: Callable[[], None], steps: int) -> float:
    """Share of a training's time that is spent waiting for its loader; the first batches are not counted."""
    batches, waited, start = iter(data), 0., 0.
    for number in range(steps + 2):
        before = time.perf_counter()
        next(batches)
        if number == 2:
            start = before
        waited += time.perf_counter() - before if number >= 2 else 0
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return waited / (time.perf_counter() - start)


def rows(result: dict) -> Rows:
    return [{'Target': name, 'ms': milliseconds(times), 'peak MiB': mebibytes(result['peak_bytes'][name])}
            for name, times in result['seconds'].items()]


def notes(result: dict) -> list[str]:
    read = result['reading']
    return [
        f'Batch {result["batch"]}, {result["precision"]}.',
        *(f'Offline against {name}: {found["faster"]:.2f} times as fast, {100 * found["lighter"]:.0f} % lighter.'
          for name, found in result['offline_against'].items()),
        f'{read["workers"]} workers read {read["slices_per_second"]:.0f} slices/s; the loader gives '
        f'{read["loader_images_per_second"]:.0f} images/s with stored features and '
        f'{read["loader_without_features"]:.0f} without; a training waits {100 * read["share_waiting"]:.1f} % of its '
        'time for it.']


def main() -> None:
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    args = arguments(__doc__, gpu_batch=256, cpu_batch=8, runs=5)
    memory = {name: in_own_process(peak_memory, name, args.batch, device) for name in NAMES}
    seconds = interleaved({name: step(name, args.batch, device) for name in NAMES}, args.runs)
    compared = {}
    for size in WIDTHS:
        for kind in ('online', 'online on the crop'):
            online, offline = f'{kind} {size}', f'offline {size}'
            compared[online] = dict(faster=seconds[online]['median'] / seconds[offline]['median'],
                                    lighter=1 - memory[offline] / memory[online])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images_and_store(folder)
        with multiprocessing.get_context('spawn').Pool(WORKERS) as pool:
            slices = sum(pool.map(functools.partial(read_slices, folder=folder, batches=100), range(WORKERS)))
        with_features, without = (pass_through(loader(folder, 32, stored)) for stored in (True, False))
        share = waiting(loader(folder, args.batch, True), step('offline B', args.batch, device),
                        min(20, IMAGES // args.batch - 2))
    result = dict(
        batch=args.batch, precision='bfloat16' if device.type == 'cuda' else 'float32', seconds=seconds,
        peak_bytes=memory, offline_against=compared,
        reading=dict(workers=WORKERS, slices_per_second=slices, loader_images_per_second=with_features,
                     loader_without_features=without, share_waiting=share))
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("offline_targets", result)}')


if __name__ == '__main__':
    main()
