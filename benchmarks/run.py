"""All benchmarks, one after the other, each in a process of its own; then the tables of README.md.

    python benchmarks/run.py                    # all but pixmim, which takes an hour and a half
    python benchmarks/run.py steps fed          # some
    python benchmarks/run.py --quick            # whether all run: least work, figures to work_dirs/, README untouched

A script that fails is named at the end; the others run all the same.
"""
import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from machine import ROOT

FOLDER = Path(__file__).parent
LEAST = '--batch 2 --runs 1'
# Script -> options for --quick.
SCRIPTS = {
    'steps': f'{LEAST} --only FastMIM\\ ViT-B\\ 128',
    'fed': f'{LEAST} --steps 1 --workers 1 --images 8',
    'loader': '--pictures 8 --runs 1',
    'growth': '--pictures 8 16 --entries 2000',
    'scaling': f'{LEAST} --steps 1',
    'hog': LEAST,
    'low_pass': LEAST,
    'masks': '--batches 8 --runs 1',
    'attention': LEAST,
    'group_attention': LEAST,
    'mixmim': LEAST,
    'offline_targets': LEAST,
    'feature_stores': '--formats ours npy --processes 1 --batches 2 --runs 1',
    'pixmim': '',
}
LONG = ('pixmim', )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(SCRIPTS)} (default: all but pixmim)')
    parser.add_argument('--quick', action='store_true', help='least work, for a look at whether all run')
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in SCRIPTS]
    if unknown:
        parser.error(f'no benchmark is called {", ".join(unknown)}: there are {", ".join(SCRIPTS)}')
    args.names = args.names or [name for name in SCRIPTS if name not in LONG]
    return args


def run(name: str, quick: bool) -> bool:
    """Whether a script ran to its end."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    if quick:
        environment['BENCHMARK_RESULTS'] = str(ROOT / 'work_dirs/quick_benchmarks')
    options = shlex.split(SCRIPTS[name]) if quick else []
    print(f'== {name}', flush=True)
    done = subprocess.run([sys.executable, FOLDER / f'{name}.py', *options], env=environment, check=False)
    return done.returncode == 0


def main() -> None:
    args = parse_args()
    failed = [name for name in args.names if not run(name, args.quick)]
    if not args.quick:
        subprocess.run([sys.executable, FOLDER / 'tables.py'], check=True)
    if failed:
        sys.exit(f'failed: {", ".join(failed)}')


if __name__ == '__main__':
    main()
