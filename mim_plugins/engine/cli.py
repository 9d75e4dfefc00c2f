"""What the tools' command lines share."""
import argparse
import os
import sys
from collections.abc import Callable

from mmengine.config import DictAction

from ..errors import InputError

_VARIABLE = 'MIM_PLUGINS_TRACEBACK'


def config_parser(description: str, work_dir: bool = True) -> argparse.ArgumentParser:
    """Parser with the options of every tool that runs a config; with ``work_dir`` one that leaves logs."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    if work_dir:
        parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument(
        '--cfg-options', nargs='+', action=_KeyValues, metavar='KEY=VALUE', help='override parts of the config')
    # Older launchers pass it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


class _KeyValues(DictAction):
    """mmengine's KEY=VALUE options; one without a value is told."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string} wants KEY=VALUE, but got {value}')
        super().__call__(parser, namespace, values, option_string)


def _sentence(error: Exception) -> str | None:
    """The line to show for a user's mistake, None for anything else."""
    if isinstance(error, InputError):
        return str(error)
    lines = str(error.args[0] if error.args else error).strip().splitlines() or ['']
    # What registries say of a misspelt option or type, and schedules of an empty epoch.
    if isinstance(error, TypeError) and 'unexpected keyword argument' in lines[-1]:
        return f'unknown option: {lines[-1]}'
    if isinstance(error, KeyError) and 'is not in the' in lines[0] and 'registry' in lines[0]:
        return f'unknown type: {lines[0]}'
    if isinstance(error, AssertionError) and lines[0].startswith('`epoch_length` must be a positive integer'):
        return 'an epoch has no batch: with drop_last=True there must be at least batch_size images for each process'
    return None


def run(main: Callable[[], None], go_on: str = 'a training goes on from its last checkpoint with --resume') -> None:
    """Call a tool's ``main``; end with one line and status 1 on bad input.

    With the environment variable MIM_PLUGINS_TRACEBACK=1 the traceback is shown instead. Ctrl-C ends it with a line,
    that tells how to ``go_on``, and status 130.
    """
    try:
        main()
    except KeyboardInterrupt:
        print(f'stopped by hand; {go_on}', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None or os.environ.get(_VARIABLE) == '1':
            raise
        sys.exit(f'error: {sentence} (full traceback: {_VARIABLE}=1)')
