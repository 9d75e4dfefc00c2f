"""Evaluate a finished pre-training run: linear probe, nearest neighbours, pictures, curves.

    python tools/evaluate_run.py work_dirs/quickstart data/demo/classification
"""
import argparse
import json
from pathlib import Path

from mim_plugins.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', type=Path, help='work dir of the run')
    parser.add_argument('labelled', type=Path, help='folder with train/ and val/, one folder per class in each')
    parser.add_argument('--seeds', type=int, default=3, help='repetitions of the probe (default: 3)')
    parser.add_argument('--add', nargs='*', default=[], metavar='KEY=SECONDS', help='figures to add to summary.json')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mim_plugins.analysis.evaluation import evaluate_run
    summary = evaluate_run(args.work_dir, args.labelled, args.seeds)
    summary |= {key: float(value) for key, value in (pair.split('=') for pair in args.add)}
    summary = {key: round(value, 4) for key, value in summary.items()}
    (args.work_dir / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    print(json.dumps(summary, indent=2))


if __name__ == '__main__':
    cli.run(main)
