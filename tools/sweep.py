"""Train a config over a grid of settings, each point in a folder of its own, and tell the best.

    python tools/sweep.py CONFIG --grid optim_wrapper.optimizer.lr=5e-4,1e-3,2e-3 \\
        --grid optim_wrapper.paramwise_cfg.layer_decay_rate=.65,.75,.85 --widen 2
    python tools/sweep.py CONFIG --grid model.backbone.out_indices=6,8,10 --gpus 8 -- --amp

What comes after -- goes to tools/train.py. A point's value is the last one of the metric in its log. If the best point
lies on a border of an axis of numbers, --widen lets that axis grow, by its own step or ratio. Stopped at any moment and
started again, it goes on where it was; finished points are not trained again.
"""
import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.compat import parse_option_value
from mim_plugins.engine import cli, launch
from mim_plugins.engine.sweep_runs import SweepRuns
from mim_plugins.engine.sweeps import Axis, sweep, table
from mim_plugins.errors import InputError

TOOLS = Path(__file__).resolve().parent


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--grid', action='append', required=True, metavar='KEY=VALUE,VALUE,...',
                        help='values of a setting; several make a grid')
    parser.add_argument('--metric', default='accuracy/top1', help='name in the log (default: accuracy/top1)')
    parser.add_argument('--lower', action='store_true', help='the lowest value is the best, as of a loss')
    parser.add_argument('--widen', type=int, default=0, metavar='N', help='let an axis grow up to N times (default: 0)')
    parser.add_argument('--gpus', type=int, help='train each point by tools/dist_train.sh on so many')
    parser.add_argument('--work-dir', type=Path, help='folder of all points (default: work_dirs/NAME_sweep)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    if arguments is None:
        arguments = sys.argv[1:]
    own, further = _split(arguments)
    args = parse_args(own)
    axes = [Axis.parse(text) for text in args.grid]
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        raise InputError(f'each --grid must be of another setting, but they are {", ".join(keys)}')
    launch.load_config(args.config, {axis.key: parse_option_value(axis.values[0]) for axis in axes})
    command = [sys.executable, str(TOOLS / 'train.py'), args.config]
    if args.gpus:
        os.environ['PYTHON'] = sys.executable
        command = ['bash', str(TOOLS / 'dist_train.sh'), args.config, str(args.gpus)]
    work_dir = args.work_dir or Path('work_dirs') / f'{Path(args.config).stem}_sweep'
    results = sweep(axes, SweepRuns(command, work_dir, args.metric, further), args.widen, args.lower)
    print(table(keys, results, args.metric, args.lower))
    failed = [point for point, value in results.items() if value is None]
    if failed:
        raise InputError(f'{len(failed)} of {len(results)} trainings failed; the same command tries them again')


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What comes before and after the first --."""
    place = arguments.index('--') if '--' in arguments else len(arguments)
    return arguments[:place], arguments[place + 1:]


if __name__ == '__main__':
    cli.run(main, go_on='the same command goes on with the points that are not finished')
