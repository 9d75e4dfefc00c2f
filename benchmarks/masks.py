"""Drawing masks: ours for a whole batch on the device, mmpretrain's sample by sample in numpy.

    python benchmarks/masks.py

Ours are what a training draws in each step; mmpretrain's generators run in the loader's workers, and are timed in one
process here; on a CPU both have one thread. Units of 32 px at 192 px for random masks (SimMIM), of 16 px at 224 px for
blocks (BEiT) and squares.
"""
import argparse
from collections.abc import Callable

import torch
from common import default_device, interleaved, store
from mmpretrain.datasets import BEiTMaskGenerator, SimMIMMaskGenerator
from tables import Rows, milliseconds, print_table

from mim_plugins.models.preprocessors import BlockMasks, RandomMasks, SquareMasks
from mim_plugins.models.preprocessors.mask_strategies import MaskStrategy


def ours(strategy: MaskStrategy, size: int, batch: int) -> Callable[[], object]:
    device = default_device()
    generator = torch.Generator(device).manual_seed(0)
    return lambda: strategy(batch, (size, size), generator, device)


def for_each(generator: SimMIMMaskGenerator | BEiTMaskGenerator, batch: int) -> Callable[[], object]:
    return lambda: [generator.transform({})['mask'] for _ in range(batch)]


def candidates(batch: int) -> dict[str, Callable[[], object]]:
    return {
        'random, ours': ours(RandomMasks(32, 0.6, 'ceil_masked'), 192, batch),
        'random, mmpretrain': for_each(SimMIMMaskGenerator(192, 32, 4, 0.6), batch),
        'blocks, ours': ours(BlockMasks(16, 0.4), 224, batch),
        'blocks, mmpretrain': for_each(BEiTMaskGenerator(14, num_masking_patches=78, min_num_patches=15), batch),
        'squares, ours': ours(SquareMasks(16, 0.4, center='random'), 224, batch),
    }


def rows(result: dict) -> Rows:
    batches = result['times']
    return [{'Masks': name, **{f'ms for {batch}': milliseconds(times[name]) for batch, times in batches.items()}}
            for name in next(iter(batches.values()))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batches', type=int, nargs='+', default=[256, 2048], help='images (default: 256 2048)')
    parser.add_argument('--runs', type=int, default=9, help='of which the median is taken (default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = dict(runs=args.runs, times={
        str(batch): interleaved(candidates(batch), args.runs) for batch in args.batches})
    print_table(rows(result))
    print(f'stored in {store("masks", result)}')


if __name__ == '__main__':
    main()
