"""Make the palette of a colour-cluster target from your own pictures.

    python tools/fit_color_clusters.py --data-root data/imagenet/train --out centers.npz

Then, in a config: target_generator=dict(type='mim_plugins.ColorClusterTarget', centers='centers.npz', ...).
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', required=True, help='folder of pictures, at any depth')
    parser.add_argument('--out', type=Path, required=True, help='.npz file to write')
    parser.add_argument('--clusters', type=int, default=512, help='colours (default: %(default)s)')
    parser.add_argument('--images', type=int, default=10000, help='pictures to draw (default: %(default)s)')
    parser.add_argument(
        '--pixels-per-image', type=int, default=256, help='pixels to draw of each picture (default: %(default)s)')
    parser.add_argument(
        '--size', type=int, default=48,
        help="pixels of a picture's side when they are drawn: image size / downsample (default: %(default)s)")
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    if args.out.suffix != '.npz':
        raise InputError(f'--out must be a .npz file, but is {args.out}')
    from mim_plugins.datasets import LoadRGBImage, UnlabelledImages
    from mim_plugins.datasets.color_clusters import fit_color_clusters
    dataset = UnlabelledImages(args.data_root, pipeline=[LoadRGBImage(order='rgb')])
    found = fit_color_clusters(
        dataset, args.clusters, args.images, args.pixels_per_image, args.size, args.seed)
    found.save(args.out)
    print(f'{args.out}: {len(found.centers)} colours of {found.images} pictures, '
          f'{found.inertia**0.5:.1f} of 255 from a pixel to its colour (root mean square)')


if __name__ == '__main__':
    cli.run(main)
