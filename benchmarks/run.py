"""All benchmarks, one after the other, each in a process of its own; then the tables of README.md.

    python benchmarks/run.py                    # all but pixmim, which takes an hour and a half
    python benchmarks/run.py steps fed          # some
    python benchmarks/run.py --quick            # whether all run: least work, figures to work_dirs/, README untouched

A script may run several times with options of its own; what is compiled runs on a GPU alone. One that fails is named at
the end; the others run all the same. How long each took is printed behind it.
"""
import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from machine import ROOT

FOLDER = Path(__file__).parent
LEAST = '--batch 2 --runs 1'


class Script(NamedTuple):
    """Options of a script.

    Attributes:
        quick: For the least work.
        full: Of each run that a full one consists of.
        on_gpu: Of further runs where there is a GPU.
    """
    quick: str
    full: tuple[str, ...] = ('', )
    on_gpu: tuple[str, ...] = ()

    def runs(self, quick: bool) -> tuple[str, ...]:
        if quick:
            return (self.quick, )
        return self.full + (self.on_gpu if torch.cuda.is_available() else ())


SCRIPTS = {
    'steps': Script(f"{LEAST} --only 'FastMIM ViT-B 128'", on_gpu=('--group aims --compile ours', )),
    'fed': Script(f'{LEAST} --steps 1 --workers 1 --images 8', ('--loading recipe', '--loading fast'),
                  ('--loading recipe --compile', '--loading fast --compile')),
    'loader': Script('--pictures 8 --runs 1'),
    'growth': Script('--pictures 8 16 --entries 2000'),
    'scaling': Script(f'{LEAST} --steps 1'),
    'hog': Script(LEAST),
    'low_pass': Script(LEAST),
    'masks': Script('--batches 8 --runs 1'),
    'attention': Script(LEAST),
    'group_attention': Script(LEAST),
    'mixmim': Script(LEAST),
    'offline_targets': Script(LEAST),
    'feature_stores': Script('--formats ours npy --processes 1 --batches 2 --runs 1'),
    'pixmim': Script(''),
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


def run(name: str, options: str, quick: bool) -> bool:
    """Whether a script ran to its end."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    if quick:
        environment.setdefault('BENCHMARK_RESULTS', str(ROOT / 'work_dirs/quick_benchmarks'))
    print(f'== {name} {options}'.rstrip(), flush=True)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, FOLDER / f'{name}.py', *shlex.split(options)], env=environment, check=False)
    print(f'{(time.perf_counter() - start) / 60:.1f} min', flush=True)
    return done.returncode == 0


def main() -> None:
    args = parse_args()
    failed = [f'{name} {options}'.rstrip() for name in args.names for options in SCRIPTS[name].runs(args.quick)
              if not run(name, options, args.quick)]
    if not args.quick:
        subprocess.run([sys.executable, FOLDER / 'tables.py'], check=True)
    else:
        print('The least work shows whether all run; its figures are no measurements.')
    if failed:
        sys.exit(f'failed: {", ".join(failed)}')


if __name__ == '__main__':
    main()
