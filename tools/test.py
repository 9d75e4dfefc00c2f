"""Test a checkpoint with the test loop of its config (fine-tuned classifiers, probes, ...).

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT --tta
    torchrun --nproc_per_node 8 tools/test.py CONFIG CHECKPOINT --launcher pytorch

Pre-training configs have no test loop; tools/evaluate_run.py looks at their features.
"""
from collections.abc import Sequence

from mim_plugins.engine import cli, launch


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.config_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--tta', action='store_true', help="test-time augmentation: the config's tta_pipeline and tta_model")
    cfg = launch.prepare_testing(parser.parse_args(arguments))
    from mmengine.runner import Runner
    Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    cli.run(main)
