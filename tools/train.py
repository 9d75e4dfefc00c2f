"""Train a config.

    python tools/train.py configs/demo/fastmim_vit_demo.py
    tools/dist_train.sh configs/fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py 8
"""
import argparse

from mmengine.config import DictAction

from mim_plugins.engine import cli, launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument('--data-root', help='train on the images below this folder')
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT',
        help='go on from a checkpoint; without a path from the latest one in the work dir')
    parser.add_argument(
        '--amp', nargs='?', const='bf16', choices=['bf16', 'fp16'], help='mixed precision (default: bf16)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate linearly to the effective batch, accumulation included')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override parts of the config')
    # Older launchers pass it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    cfg = launch.prepare_training(parse_args())
    from mmengine.runner import Runner
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    cli.run(main)
