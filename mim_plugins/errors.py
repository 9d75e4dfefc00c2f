"""The one kind of exception for what a user can put right."""
from collections.abc import Sequence

_SHOWN = 3  # names in a message


class InputError(ValueError):
    """A setting, path or file does not fit.

    The message is a single line that names what was expected and what came, so that the command-line
    tools can show it without a traceback.
    """

    def __init__(self, message: str) -> None:
        # A DataLoader raises a worker's exception again with the whole traceback as its message; the
        # sentence is behind the last mention of the type.
        super().__init__(message.rpartition(f'{type(self).__name__}: ')[2].rstrip())


class ImageDecodeError(InputError):
    """A file that cannot be read as an image; the message names the file."""


class NonFiniteLossError(InputError):
    """A training's loss is no number any more."""


class UnreadableImagesError(InputError):
    """Too many files of a data set cannot be read."""


def name_some(names: Sequence[str]) -> str:
    """The first names and how many more there are."""
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more
