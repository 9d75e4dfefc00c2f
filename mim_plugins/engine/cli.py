"""Bad input ends a tool with a sentence instead of a traceback."""
import os
import sys
from collections.abc import Callable

from ..errors import InputError

_VARIABLE = 'MIM_PLUGINS_TRACEBACK'


def _sentence(error: Exception) -> str | None:
    """The line to show for a user's mistake, None for anything else."""
    if isinstance(error, InputError):
        return str(error)
    lines = str(error.args[0] if error.args else error).strip().splitlines() or ['']
    # What registries say of a misspelt option or type.
    if isinstance(error, TypeError) and 'unexpected keyword argument' in lines[-1]:
        return f'unknown option: {lines[-1]}'
    if isinstance(error, KeyError) and 'is not in the' in lines[0] and 'registry' in lines[0]:
        return f'unknown type: {lines[0]}'
    return None


def run(main: Callable[[], None]) -> None:
    """Call a tool's ``main``; end with status 2 and one line on bad input.

    With the environment variable MIM_PLUGINS_TRACEBACK=1 the traceback is shown as well.
    """
    try:
        main()
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None or os.environ.get(_VARIABLE) == '1':
            raise
        sys.exit(f'error: {sentence} (full traceback: {_VARIABLE}=1)')
