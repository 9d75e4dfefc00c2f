"""Training steps fed from JPEG files: how much of the synthetic rate is reached, and what is spent waiting.

    python benchmarks/fed.py --workers 2 --steps 4
    python benchmarks/fed.py --loading fast --workers 16 --images 20000 --compile
    python benchmarks/fed.py --only 'FastMIM ViT-B 128' 'mmpretrain SimMIM Swin-B 192'

The steps are those of steps.py. A loader with worker processes reads pictures of 500 x 375 px at quality 95 with the
recipe's own pipeline, mmpretrain's for its models; `--loading fast` decodes ours at a fraction where the crop allows.
The synthetic steps run in turn with the fed ones, on one batch that is used again and again. Before fed steps are timed
as many run as the loader has batches in store. The rate is that of steps that run as in a training; the wait is
measured in steps of their own, each of which ends before the next batch is asked for. On a CPU every worker has a core
that the steps, synthetic ones too, leave to it.
"""
import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from candidates import CANDIDATES, OURS, PEERS
from common import default_device, options, reason, store
from machine import ROOT
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from pictures import write_jpegs
from stepping import Batch, Step, quiet
from tables import Rows, print_table
from torch.utils.data import DataLoader

from mim_plugins.engine.loading import use_fast_loading

RECIPES = {
    'FastMIM ViT-B 128': 'fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128',
    'FastMIM Swin-B 128': 'fastmim/fastmim_swin-base_8xb256-amp-400e_in1k-128',
    'SimMIM ViT-B 224': 'simmim/simmim_vit-base_16xb128-amp-800e_in1k-224',
    'SimMIM Swin-B 192': 'simmim/simmim_swin-base_16xb128-amp-100e_in1k-192',
    'MAE ViT-B 224': 'mae/mae_vit-base_8xb512-amp-300e_in1k-224',
    'PixMIM ViT-B 224': 'pixmim/pixmim_vit-base_8xb512-amp-300e_in1k-224',
    'MixMIM-B 224': 'mixmim/mixmim_mixmim-base_8xb128-amp-300e_in1k-224',
    'mmpretrain SimMIM Swin-B 192': 'SimMIM Swin-B',
    'mmpretrain MAE ViT-B 224': 'MAE ViT-B',
    'mmpretrain MixMIM-B 224': 'MixMIM-B',
    'mmpretrain MaskFeat ViT-B 224': 'MaskFeat ViT-B',
}


def parse_args() -> argparse.Namespace:
    on_gpu, cores = torch.cuda.is_available(), len(os.sched_getaffinity(0))
    parser = options(__doc__, gpu_batch=256, cpu_batch=8, runs=3)
    parser.add_argument('--only', nargs='+', choices=RECIPES, default=['FastMIM ViT-B 128'], metavar='NAME',
                        help=f'of {", ".join(RECIPES)} (default: the first)')
    parser.add_argument('--steps', type=int, default=50 if on_gpu else 4,
                        help='in a run (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=16 if on_gpu else 1,
                        help='processes that load (default: %(default)s)')
    parser.add_argument('--threads', type=int, help='of the steps (default on a CPU: the cores without the workers)')
    parser.add_argument('--prefetch', type=int, default=2, help='batches ready for each worker (default: %(default)s)')
    parser.add_argument('--loading', choices=('recipe', 'fast'), default='recipe', help='default: %(default)s')
    parser.add_argument('--pictures', type=Path, help='a folder of pictures; by default some are made for the run')
    parser.add_argument('--images', type=int, default=512, help='number that is made (default: %(default)s)')
    parser.add_argument('--compile', action='store_true', help='of our encoders and decoders')
    args = parser.parse_args()
    args.threads = args.threads or (torch.get_num_threads() if on_gpu else max(1, cores - args.workers))
    return args


def recipe(name: str, loading: str) -> Config:
    """The config whose pipeline loads for a candidate."""
    if RECIPES[name] in PEERS:
        return get_config(f'mmpretrain::{PEERS[RECIPES[name]]}.py')
    config = Config.fromfile(ROOT / f'configs/{RECIPES[name]}.py')
    if loading == 'fast':
        use_fast_loading(config)
    return config


def loader(pipeline: list[dict], folder: Path, args: argparse.Namespace, batches: int) -> DataLoader:
    """Batches of the pictures in a folder, over and over again in one epoch, so that none begins in between."""
    pictures = dict(type='mim_plugins.UnlabelledImages', data_root=str(folder), pipeline=pipeline)
    number = sum(1 for path in folder.rglob('*') if path.is_file())
    return Runner.build_dataloader(dict(
        batch_size=args.batch, num_workers=args.workers, prefetch_factor=args.prefetch if args.workers else None,
        pin_memory=torch.cuda.is_available(), drop_last=True, collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='RepeatDataset', dataset=pictures, times=math.ceil(batches * args.batch / number))), seed=0)


def finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def synthetic(step: Step, steps: int) -> float:
    """Seconds of steps from one batch."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    finish()
    return time.perf_counter() - start


def fed(step: Step, batches: Iterator[Batch], steps: int, one_by_one: bool = False) -> tuple[float, float]:
    """Seconds of steps from a loader's batches, and what of them was spent waiting for a batch.

    Args:
        step: The step.
        batches: The loader's.
        steps: Their number.
        one_by_one: End each step before asking for the next batch, so that no step hides the wait.
    """
    start, waited = time.perf_counter(), 0.
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(batch)
        if one_by_one:
            finish()
    finish()
    return time.perf_counter() - start, waited


def measure(name: str, folder: Path, args: argparse.Namespace) -> dict[str, list[float]]:
    """Images per second of synthetic and fed steps, and the share of waiting, in each run."""
    quiet()
    config = recipe(name, args.loading)
    ready = max(1, args.workers * args.prefetch)
    data = loader(config.train_dataloader.dataset.pipeline, folder, args, (args.runs + 1) * (ready + 2 * args.steps))
    candidate = CANDIDATES[name]
    compiled = 'default' if args.compile and candidate.source == OURS else None
    step = candidate.step(args.batch, default_device(), compiled)
    batches, found = iter(data), dict(synthetic=[], fed=[], waiting=[])
    fed(step, batches, min(2, args.steps))  # a warm-up, and the workers have started
    for _ in range(args.runs):
        found['synthetic'].append(args.batch * args.steps / synthetic(step, args.steps))
        fed(step, batches, ready)
        found['fed'].append(args.batch * args.steps / fed(step, batches, args.steps)[0])
        seconds, waited = fed(step, batches, args.steps, one_by_one=True)
        found['waiting'].append(waited / seconds)
    return found


def rows(result: dict) -> Rows:
    table = []
    for name, found in result['candidates'].items():
        rates, waiting = {kind: statistics.median(found[kind]) for kind in ('synthetic', 'fed')}, found['waiting']
        table.append({
            'Step': name, **{f'{kind}, images/s': f'{rate:.4g}' for kind, rate in rates.items()},
            'reached %': f'{100 * rates["fed"] / rates["synthetic"]:.0f}',
            'waiting % of a step': f'{100 * statistics.median(waiting):.1f} '
                                   f'({100 * min(waiting):.1f}-{100 * max(waiting):.1f})'})
    return table


def notes(result: dict) -> list[str]:
    return [f'Batch {result["batch"]}, steps on {result["threads"]} threads, {result["workers"]} workers, '
            f'{result["prefetch"]} batches ready for each, loading: {result["loading"]}, '
            f'median of {result["runs"]} runs of {result["steps"]} steps{", compiled" if result["compile"] else ""}.',
            *(f'{name} failed: {why}' for name, why in result['failed'].items())]


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    candidates, failed = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.pictures or Path(temporary)
        if args.pictures is None:
            write_jpegs(folder, args.images)
        for name in args.only:
            try:
                candidates[name] = measure(name, folder, args)
            except Exception as error:  # whatever it is, the others can still be measured
                failed[name] = reason(error)
    result = dict(
        batch=args.batch, runs=args.runs, steps=args.steps, workers=args.workers, threads=args.threads,
        prefetch=args.prefetch, loading=args.loading, compile=args.compile, candidates=candidates, failed=failed)
    print_table(rows(result))
    print(*notes(result), sep='\n')
    compiled = '-compiled' if args.compile else ''
    print(f'stored in {store(f"fed-{args.loading}{compiled}", result)}')


if __name__ == '__main__':
    main()
