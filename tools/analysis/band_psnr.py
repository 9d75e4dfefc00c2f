"""Compare the PSNR of pre-trained models' reconstructions within bands of frequencies.

    python tools/analysis/band_psnr.py work_dirs/mae work_dirs/pixmim --images data/demo/classification/val \\
        --out work_dirs/band_psnr

A reconstruction is the image with the prediction in its masked places; the masks are the same for all models of one
mask strategy. Writes band_psnr.png, band_psnr.csv (mean and standard deviation over the images; images without any
error in a band are left out of it) and band_psnr.json (each image's PSNR; null where it is not finite).
"""
import argparse
import csv
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mmengine.logging import MMLogger

from mim_plugins.engine import cli


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', type=Path, nargs='+', help='checkpoints, or work dirs of runs')
    parser.add_argument('--images', type=Path, nargs='+', required=True, help='images and folders')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    bands = parser.add_mutually_exclusive_group()
    bands.add_argument('--bands', type=int, default=8, help='number of bands of equal width (default: 8)')
    bands.add_argument('--edges', type=float, nargs='+', help='edges of the bands in cycles per image')
    parser.add_argument('--number', type=int, default=64, help='at most so many images (default: 64)')
    parser.add_argument('--seed', type=int, default=0, help='of the masks (default: 0)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    MMLogger.get_instance('band_psnr', log_level='WARNING')
    from mim_plugins.analysis.frequency import band_course, band_figure, mean_and_deviation
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.runs import image_paths, load_run, spread
    paths = spread(image_paths(args.images), args.number)
    courses = {}
    for checkpoint in args.checkpoints:
        model, cfg = load_run(checkpoint)
        courses[str(checkpoint)] = band_course(model, paths, args.edges or args.bands, cfg, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    save(band_figure(courses), args.out / 'band_psnr.png')
    (args.out / 'band_psnr.json').write_text(json.dumps({
        checkpoint: dict(edges=edges, psnr=[[value if math.isfinite(value) else None for value in row] for row in psnr])
        for checkpoint, (edges, psnr) in courses.items()}, indent=2) + '\n')
    with (args.out / 'band_psnr.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['checkpoint', 'from', 'to', 'psnr', 'deviation'])
        for checkpoint, (edges, psnr) in courses.items():
            for (low, high), column in zip(pairwise(edges), psnr.T, strict=True):
                mean, deviation = mean_and_deviation(column)
                print(f'{checkpoint}  {low:6.1f} to {high:6.1f}: {mean:6.2f} +- {deviation:.2f} dB')
                table.writerow([checkpoint, low, high, mean, deviation])


if __name__ == '__main__':
    cli.run(main)
