"""Compare how stable pixel and HOG targets are when images are made smaller and larger again.

    python tools/analysis/target_resolution.py data/demo/classification/val --out work_dirs/target_resolution

Writes target_resolution.csv (PSNR and SSIM of each target and size) and target_resolution.png.
"""
import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, nargs='+', help='images and folders')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--base', type=int, default=224, help='size to compare with, in pixels (default: 224)')
    parser.add_argument('--sizes', type=int, nargs='+', default=[192, 160, 128, 96, 64],
                        help='smaller sizes in pixels (default: 192 160 128 96 64)')
    parser.add_argument('--number', type=int, default=64, help='at most so many images (default: 64)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    if any(size % 8 or not 16 <= size <= args.base for size in (args.base, *args.sizes)):
        raise InputError(f'sizes must be multiples of 8 px from 16 to --base, but are {args.sizes} and {args.base}')
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.resolution import stability_figure, target_stability
    from mim_plugins.analysis.runs import image_batch, image_paths, spread
    paths = spread(image_paths(args.images), args.number)
    images = image_batch(paths, (args.base, args.base))['inputs'].flip(1).float() / 255  # loaded as BGR
    rows = target_stability(images, args.sizes)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'target_resolution.csv').open('w', newline='') as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    save(stability_figure(images[0], args.sizes), args.out / 'target_resolution.png')
    for row in rows:
        print(f'{row["target"]:<7} {row["size"]:>4} px   PSNR {row["psnr"]:6.2f} dB   SSIM {row["ssim"]:.3f}')


if __name__ == '__main__':
    cli.run(main)
