"""Draw AvgDist, how far masked pixels are from visible ones, over the mask ratio for each kind of mask.

    python tools/analysis/mask_distance.py --out work_dirs/mask_distance

Writes avg_dist.png and avg_dist.csv.
"""
import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--size', type=int, nargs='+', default=[192], metavar='PX',
                        help='side of the images, or their height and width (default: 192)')
    parser.add_argument('--units', type=int, nargs='+', default=[4, 8, 16, 32, 64], metavar='PX',
                        help='units of the random masks (default: 4 8 16 32 64)')
    parser.add_argument('--block-unit', type=int, default=16, metavar='PX',
                        help='unit of the block-wise masks (default: 16)')
    parser.add_argument('--square-unit', type=int, default=4, metavar='PX',
                        help='unit of the square masks (default: 4)')
    parser.add_argument('--ratios', type=float, nargs='+', default=[step / 10 for step in range(1, 10)],
                        help='mask ratios (default: 0.1 to 0.9)')
    parser.add_argument('--samples', type=int, default=16, help='masks to average over at each point (default: 16)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(arguments)
    if len(args.size) > 2:
        parser.error(f'--size wants one or two numbers, but got {len(args.size)}')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    from mim_plugins.analysis.mask_statistics import avg_dist_course, avg_dist_figure
    from mim_plugins.analysis.pictures import save
    strategies = {
        **{f'random {unit}': dict(type='mim_plugins.RandomMasks', unit=unit) for unit in args.units},
        f'block {args.block_unit}': dict(type='mim_plugins.BlockMasks', unit=args.block_unit),
        f'square {args.square_unit}': dict(type='mim_plugins.SquareMasks', unit=args.square_unit),
    }
    course = avg_dist_course(strategies, args.ratios, (args.size[0], args.size[-1]), args.samples, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    save(avg_dist_figure(course, args.ratios), args.out / 'avg_dist.png')
    with (args.out / 'avg_dist.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['ratio', *course])
        table.writerows([ratio, *map('{:.4f}'.format, row)] for ratio, *row in zip(args.ratios, *course.values()))


if __name__ == '__main__':
    cli.run(main)
