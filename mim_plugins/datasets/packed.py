"""A folder of pictures in one LMDB file, read at random by any number of processes.

``data.mdb`` holds the files' bytes under the names that they had in their folder, as mmengine's ``LmdbBackend`` reads
them too; ``pictures.txt`` the names in the folder's order, with labels where each lies in a folder of its class; and
``manifest.json`` how it was made. :mod:`mim_plugins.datasets.packed_writing` writes it.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mim_plugins.errors import ImageDecodeError, InputError

from .image_files import PathTable, read_names

DATA, NAMES, MANIFEST = 'data.mdb', 'pictures.txt', 'manifest.json'
FORMAT = 'mim_plugins.packed_pictures.v1'


def import_lmdb() -> ModuleType:
    """The package that reads and writes the file.

    Raises:
        InputError: It is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise InputError('packed pictures need the package lmdb: pip install lmdb') from error
    return lmdb


def is_packed(folder: str | Path) -> bool:
    """Whether a folder holds packed pictures, be it without one of their files."""
    return len(_missing(folder)) < 2


def _missing(folder: str | Path) -> list[str]:
    return [name for name in (DATA, NAMES, MANIFEST) if not Path(folder, name).is_file()]


@cache  # LMDB wants one handle for a file in a process
def _environment(folder: str) -> Any:
    # Without locks there is nothing that a forked worker could not go on using.
    return import_lmdb().open(folder, readonly=True, lock=False, readahead=False, create=False)


def _check_data(folder: str, count: int) -> None:
    """Raise a ValueError for a file of pictures that was cut short, or has another number of them."""
    environment = _environment(folder)
    found = environment.stat()
    if found['entries'] != count:
        raise ValueError(f'{count} pictures are promised, but {DATA} has {found["entries"]}')
    # LMDB maps the file: what is missing would end the process at an access.
    length, needed = Path(folder, DATA).stat().st_size, (environment.info()['last_pgno'] + 1) * found['psize']
    if length < needed:
        raise ValueError(f'{DATA} has {length} of {needed} bytes')


class PackedPictures:
    """Packed pictures by name. It may be forked or pickled: each process opens the file for itself.

    Args:
        folder: What ``tools/pack_images.py`` wrote.

    Raises:
        InputError: The package lmdb is missing, or the folder is of another format, damaged or without a file.
    """

    def __init__(self, folder: str | Path) -> None:
        lmdb = import_lmdb()
        self.folder = os.path.abspath(folder)
        if missing := _missing(folder):
            raise InputError(f'{folder} holds packed pictures without {" and ".join(missing)}: pack them again')
        with self._needed(ValueError, AttributeError):
            self.manifest = json.loads(Path(self.folder, MANIFEST).read_text())
            found = self.manifest.get('format')
        if found != FORMAT:
            raise InputError(f'expected pictures in the format {FORMAT} in {folder}, found {found!r}')
        with self._needed(ValueError, KeyError, lmdb.Error):
            self._count, self._labelled = self.manifest['count'], self.manifest['labelled']
            _check_data(self.folder, self._count)

    @contextmanager
    def _needed(self, *damages: type[Exception]) -> Iterator[None]:
        """Reading without which nothing can be used; errors of these types come of a damaged folder."""
        try:
            yield
        except damages as error:
            raise InputError(f'{self.folder} is not whole: pack the pictures again ({type(error).__name__}: {error})'
                             ) from error

    def names(self) -> PathTable:
        """The pictures' names, in the order of the folder that they are from.

        Raises:
            InputError: They are not as many as the pictures.
        """
        with self._needed(ValueError):
            table = read_names(Path(self.folder, NAMES), self._labelled)
            if len(table.ends) != self._count:
                raise ValueError(f'{self._count} pictures are promised, but {NAMES} names {len(table.ends)}')
        return table

    def read(self, name: str) -> bytes:
        """The bytes of one picture's file.

        Raises:
            ImageDecodeError: There is no such picture.
        """
        with _environment(self.folder).begin() as transaction:
            content = transaction.get(os.fsencode(name))
        if content is None:
            raise ImageDecodeError(f'there is no picture {name} in {self.folder}')
        return content
