"""Make the demo data: digits over photographs, unlabelled and in three annotated formats.

    python tools/make_demo_data.py data/demo
    python tools/make_demo_data.py data/demo128 --sets detection --size 128 160 --digit-size .2 .5
"""
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import fields

from mim_plugins.datasets.demo import SETS, DemoOptions, make_demo_data
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='folder to make')
    for field in fields(DemoOptions):
        kind = type(field.default)
        flag = '--' + field.name.replace('_', '-')
        if field.name == 'sets':
            parser.add_argument(flag, nargs='+', choices=SETS, default=field.default)
        elif kind is tuple:
            parser.add_argument(
                flag, nargs=2, type=type(field.default[0]), metavar=('LOW', 'HIGH'),
                default=field.default, help='(default: {} {})'.format(*field.default))
        else:
            parser.add_argument(
                flag, type=kind, default=field.default, help='(default: %(default)s)')
    parser.add_argument('--workers', type=int, help='processes (default: to suit the CPUs)')
    parser.add_argument(
        '--force', action='store_true', help='replace demo data made with other options')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = vars(parse_args(arguments))
    out, workers, force = (args.pop(name) for name in ('out', 'workers', 'force'))
    start = time.perf_counter()
    try:
        report = make_demo_data(out, DemoOptions(**args), workers=workers, force=force)
    except InputError as error:
        print(f'make_demo_data: {error}', file=sys.stderr)
        return 1
    if not report.made:
        print(f'{report.out} holds this data already: nothing to do')
        return 0
    counts = ', '.join(f'{count} {name}' for name, count in report.counts.items())
    print(f'{report.out}: {counts} in {time.perf_counter() - start:.0f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
