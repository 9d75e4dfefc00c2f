"""Train a config.

    python tools/train.py configs/demo/fastmim_vit-micro_bs64_demo-32.py
    python tools/train.py configs/fastmim/benchmarks/fastmim_vit-base_ft_8xb128-amp-100e_in1k-224.py --encoder a.pth
    tools/dist_train.sh configs/fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py 8
"""
from collections.abc import Sequence

from mim_plugins.engine import cli, launch
from mim_plugins.engine.compilation import MODES


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.config_parser(__doc__)
    parser.add_argument('--data-root', help='train on the images below this folder')
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT',
        help='go on from a checkpoint; without a path from the latest one in the work dir')
    parser.add_argument(
        '--encoder', metavar='CHECKPOINT',
        help='start a classifier, detector or segmenter from the encoder in this file; none: from random weights')
    parser.add_argument(
        '--amp', nargs='?', const='bf16', choices=['bf16', 'fp16'], help='mixed precision, bf16 if not said')
    parser.add_argument(
        '--fast-loading', action='store_true',
        help='decode JPEGs at a fraction of their size where the crop shrinks them as much')
    parser.add_argument(
        '--compile', nargs='?', const='default', choices=MODES,
        help='compile encoder and decoder with torch.compile, in this mode')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate linearly to the effective batch, accumulation included')
    parser.add_argument(
        '--fsdp', action='store_true',
        help='spread parameters, gradients and optimizer over the processes (FSDP2), for encoders that are too large')
    cfg = launch.prepare_training(parser.parse_args(arguments))
    from mmengine.registry import RUNNERS
    RUNNERS.build(cfg).train()


if __name__ == '__main__':
    cli.run(main)
