"""Test a checkpoint with the test loop of its config (fine-tuned classifiers, probes, ...).

    python tools/test.py CONFIG CHECKPOINT
    torchrun --nproc_per_node 8 tools/test.py CONFIG CHECKPOINT --launcher pytorch

Pre-training configs have no test loop; tools/evaluate_run.py looks at their features.
"""
import argparse

from mmengine.config import DictAction

from mim_plugins.engine import cli, launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for the log')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override parts of the config')
    # Older launchers pass it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    cfg = launch.prepare_testing(parse_args())
    from mmengine.runner import Runner
    Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    cli.run(main)
