"""Draw the held-out loss of pre-trained models over the size of the images, under the same masks each time.

    python tools/analysis/loss_by_size.py work_dirs/quickstart --images data/demo/classification/val \\
        --sizes 32 48 48x64 --out work_dirs/loss_by_size

Writes loss_by_size.png and loss_by_size.csv; a size that a model does not take is told and left out.
"""
import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mim_plugins.engine import cli


def read_size(text: str) -> tuple[int, int]:
    """(H, W) from ``'128'`` or ``'128x192'``."""
    sides = text.split('x')
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f'expected a number of pixels or HEIGHTxWIDTH, but got {text}')
    return int(sides[0]), int(sides[-1])


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', type=Path, nargs='+', help='checkpoints, or work dirs of runs')
    parser.add_argument('--images', type=Path, nargs='+', required=True, help='images and folders')
    parser.add_argument('--sizes', type=read_size, nargs='+', required=True, metavar='PX',
                        help='sides of the images, or HEIGHTxWIDTH')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--number', type=int, default=64, help='at most so many images (default: 64)')
    parser.add_argument('--seed', type=int, default=0, help='of the masks (default: 0)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    MMLogger.get_instance('loss_by_size', log_level='WARNING')
    from mim_plugins.analysis.held_out import loss_by_size, size_figure
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.runs import image_paths, load_run, spread
    paths = spread(image_paths(args.images), args.number)
    courses = {}
    for checkpoint in args.checkpoints:
        model, cfg = load_run(checkpoint)
        courses[str(checkpoint)] = loss_by_size(model, paths, args.sizes, cfg, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    save(size_figure(courses), args.out / 'loss_by_size.png')
    with (args.out / 'loss_by_size.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['checkpoint', 'height', 'width', 'loss'])
        for checkpoint, course in courses.items():
            for size, loss in course.items():
                print('{}  {}x{} px: {}'.format(checkpoint, *size, loss))
                if not isinstance(loss, str):
                    table.writerow([checkpoint, *size, loss])


if __name__ == '__main__':
    cli.run(main)
