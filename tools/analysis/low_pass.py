"""Draw pictures beside what low-pass filters leave of them.

    python tools/analysis/low_pass.py data/demo/classification/val --size 48 --radii 4 8 12 --out work_dirs/low_pass

Writes low_pass.png.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, nargs='+', help='images and folders')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--radii', type=float, nargs='+', default=[20, 30, 40, 50, 60],
                        help='radii in cycles per image (default: 20 30 40 50 60)')
    parser.add_argument('--size', type=int, nargs='+', default=[224], metavar='PX',
                        help='side of the pictures, or their height and width (default: 224)')
    parser.add_argument('--reference-size', type=int, metavar='PX', help='count the radii in cycles per so many pixels')
    parser.add_argument('--mode', choices=['paper', 'reference'], default='paper',
                        help="the paper's filter or the released code's (default: paper)")
    parser.add_argument('--high-pass', action='store_true', help='show what the filters take away')
    parser.add_argument('--number', type=int, default=4, help='at most so many images, spread over all (default: 4)')
    args = parser.parse_args(arguments)
    if len(args.size) > 2 or min(args.size) < 1:
        parser.error(f'--size wants one or two numbers of pixels, but got {args.size}')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    from mim_plugins.analysis.frequency import low_pass_figure
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.runs import image_batch, image_paths, spread
    paths = spread(image_paths(args.images), args.number)
    images = image_batch(paths, (args.size[0], args.size[-1]))['inputs'].flip(1).float() / 255  # loaded as BGR
    figure = low_pass_figure(images, args.radii, args.mode, args.high_pass, args.reference_size)
    args.out.mkdir(parents=True, exist_ok=True)
    save(figure, args.out / 'low_pass.png')
    print(f'wrote {args.out}/low_pass.png for {len(paths)} images of {args.size[0]}x{args.size[-1]}')


if __name__ == '__main__':
    cli.run(main)
