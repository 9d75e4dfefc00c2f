"""Count parameters and multiply-adds of a config's model, part by part.

    python tools/analysis/get_flops.py configs/fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py
    python tools/analysis/get_flops.py configs/fastmim/benchmarks/fastmim_vit-base_upernet_8xb2-160k_ade20k-512.py \\
        --size 512 2048

Any config of mmpretrain, mmdet, mmseg or this package. One multiply-add is two FLOPs.
"""
import argparse
from collections.abc import Sequence

from mim_plugins.engine import cli, launch


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.config_parser(__doc__, work_dir=False)
    parser.add_argument('--size', type=int, nargs='+', metavar='PIXELS',
                        help="side, or height and width, of the image (default: the config's)")
    args = parser.parse_args(arguments)
    if args.size and (len(args.size) > 2 or min(args.size) < 1):
        parser.error('--size wants one or two positive numbers')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    cfg = launch.load_config(args.config, args.cfg_options)
    from mmengine.logging import MMLogger
    MMLogger.get_instance('complexity', log_level='WARNING')
    from mim_plugins.analysis.complexity import complexity
    print(complexity(cfg, tuple(args.size * 2)[:2] if args.size else None))


if __name__ == '__main__':
    cli.run(main)
