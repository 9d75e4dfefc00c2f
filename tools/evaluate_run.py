"""Evaluate a finished pre-training run: linear probe, nearest neighbours, pictures, curves.

    python tools/evaluate_run.py work_dirs/quickstart data/demo/classification
"""
import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mim_plugins.engine import cli


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', type=Path, help='work dir of the run')
    parser.add_argument('labelled', type=Path, help='folder with train/ and val/, one folder per class in each')
    parser.add_argument('--seeds', type=int, default=3, help='repetitions of the probe (default: 3)')
    parser.add_argument('--seconds-train', type=float, help='how long the training took, for summary.json')
    parser.add_argument('--started', type=float, help='Unix time of the beginning, for seconds_total in summary.json')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    MMLogger.get_instance('evaluation', log_level='WARNING')  # the initialisation of each parameter is no news here
    from mim_plugins.analysis.evaluation import evaluate_run
    summary = evaluate_run(args.work_dir, args.labelled, args.seeds)
    if args.seconds_train is not None:
        summary['seconds_train'] = args.seconds_train
    if args.started is not None:
        summary['seconds_total'] = time.time() - args.started
    text = json.dumps({key: round(value, 4) for key, value in summary.items()}, indent=2)
    (args.work_dir / 'summary.json').write_text(text + '\n')
    print(text)


if __name__ == '__main__':
    cli.run(main)
