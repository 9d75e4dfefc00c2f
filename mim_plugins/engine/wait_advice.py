"""What to change about a loader that is too slow, from what can be seen of it."""
import os

import torch
from torch.utils.data import DataLoader

from ..datasets.packed import is_packed

_MUCH_LARGER = 4.  # times as many pixels in a picture as in what becomes of it
_PACKED = 2  # times the crop's larger side: room for random crops
_FEW_CORES, _MUCH_WAITING = 2, 50.  # per process; per cent


def cores_per_process() -> int:
    """CPU cores for each process on this machine, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get('LOCAL_WORLD_SIZE', 1)))


def remedies(loader: DataLoader, batch: dict, device: torch.device, share: float, start_up: float,
             fast_loading: bool) -> list[str]:
    """What may help, the most likely first.

    Args:
        loader: The training's.
        batch: One of its batches.
        device: Where the model is.
        share: Of the time that was waited, in per cent.
        start_up: Seconds that the last epoch's first batch was waited for.
        fast_loading: Whether ``--fast-loading`` would change the training.
    """
    found = [*_workers(loader, device, share), *_pictures(loader, batch, fast_loading)]
    if loader.num_workers and not loader.persistent_workers:
        found.append(f'train_dataloader.persistent_workers=True, since each epoch begins with {start_up:.1f} s of '
                     'waiting for its workers')
    if device.type == 'cuda' and not loader.pin_memory:
        found.append('train_dataloader.pin_memory=True')
    last = 'a cheaper pipeline, or faster storage such as a disk of this machine'
    if loader.num_workers >= max(1, cores_per_process() - 1):  # one for the steps
        last += ', or more workers than cores where they wait for files and not for the CPU'
    return [*found, last]


def _workers(loader: DataLoader, device: torch.device, share: float) -> list[str]:
    cores = cores_per_process()
    spare = cores - (1 if device.type == 'cuda' else torch.get_num_threads())
    # Where steps need the few cores themselves, a first worker takes more from them than it gives.
    costly = device.type == 'cpu' and cores <= _FEW_CORES and not loader.num_workers and share <= _MUCH_WAITING
    if spare <= loader.num_workers or costly:
        return []
    return [f'train_dataloader.num_workers={spare} instead of {loader.num_workers}, for {cores} cores per process']


def _pictures(loader: DataLoader, batch: dict, fast_loading: bool) -> list[str]:
    shapes = [sample.ori_shape[:2] for sample in batch.get('data_samples') or [] if 'ori_shape' in sample]
    if not shapes:
        return []
    pixels = sum(height * width for height, width in shapes) / len(shapes)
    height, width = batch['inputs'][0].shape[-2:]
    ratio = pixels / (height * width)
    if ratio < _MUCH_LARGER:
        return []
    ways = ['--fast-loading'] if fast_loading else []
    short_side = _PACKED * max(height, width)
    smaller = short_side < sum(map(min, shapes)) / len(shapes)
    if smaller and not is_packed(getattr(loader.dataset, 'data_root', None) or ''):
        ways.append(f'pictures packed by tools/pack_images.py --short-side {short_side}')
    return ways and [f'{" or ".join(ways)}, since pictures have {ratio:.0f} times as many pixels as the '
                     f'{height}x{width} that are made of them']
