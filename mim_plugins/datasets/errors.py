"""Errors that may be raised in a DataLoader's worker."""
from __future__ import annotations

from mim_plugins.errors import InputError


class DataError(InputError):
    """An ``InputError`` that stays a single line on its way out of a worker process."""

    def __init__(self, message: str) -> None:
        # A DataLoader raises a worker's exception again with the whole traceback as its message;
        # the sentence is behind the last mention of the type.
        super().__init__(message.rpartition(f'{type(self).__name__}: ')[2].rstrip())


class ImageDecodeError(DataError):
    """A file that cannot be read as an image; the message names the file."""


class UnreadableImagesError(DataError):
    """Too many files of a data set cannot be read."""
