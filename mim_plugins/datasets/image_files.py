"""Finding the image files of a folder or a list file, in little memory."""
from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mim_plugins.errors import InputError, name_some

IMAGE_EXTENSIONS = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.bmp', '.dib', '.gif', '.tif', '.tiff',
    '.ppm', '.pgm', '.pbm', '.pnm')
LABEL_COLUMN = re.compile(r'\s+-?\d+$')


class PathTable(NamedTuple):
    """Paths in two arrays: some 40 bytes a path, and no Python object that a forked worker copies.

    Attributes:
        buffer: uint8, the paths' bytes one after the other.
        ends: int64 [N], where each path ends in the buffer.
    """

    buffer: np.ndarray
    ends: np.ndarray


def path_at(buffer: np.ndarray, ends: np.ndarray, index: int) -> str:
    """Path number ``index`` in 0..N-1."""
    start = ends[index - 1] if index else 0
    return os.fsdecode(buffer[start:ends[index]].tobytes())


def scan_folder(root: str, extensions: Iterable[str]) -> PathTable:
    """Image files below ``root`` at any depth, relative to it, each folder's entries by name.

    Hidden files and folders are left out. Links are followed; a folder that can be reached in
    several ways counts once, so that links in a circle do no harm. A dangling link with an image
    extension is kept, for it stands for a picture that cannot be read.

    Raises:
        InputError: If the folder is missing, cannot be listed or holds no image.
    """
    if not os.path.isdir(root):
        came = 'a file' if os.path.exists(root) else 'nothing there'
        raise InputError(f'expected a folder of images at {root}, found {came}')
    wanted = tuple(extension.lower() for extension in extensions)
    table = _Builder()
    seen: set[tuple[int, int]] = set()

    def scan(folder: str, prefix: str) -> None:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            entries = sorted((e for e in found if not e.name.startswith('.')), key=lambda e: e.name)
        for entry in entries:
            if entry.is_dir():
                scan(entry.path, f'{prefix}{entry.name}/')
            elif entry.name.lower().endswith(wanted) and (entry.is_file() or entry.is_symlink()):
                table.add(prefix + entry.name)

    try:
        scan(root, '')
    except OSError as error:
        raise InputError(f'could not list a folder of images: {error}') from error
    if not len(table):
        raise InputError(
            f'expected images ({", ".join(wanted)}) in or below {root}, found none')
    return table.build()


def read_list(path: str, root: str) -> PathTable:
    """Paths of a list file, one a line, absolute or relative to ``root``.

    Blank lines and lines that begin with ``#`` are left out, and so is an integer behind the path
    (the label column of ImageNet's lists).

    Raises:
        InputError: If the list is missing, empty or names files that do not exist.
    """
    table = _Builder()
    listings: dict[str, set[str]] = {}
    missing: list[str] = []
    try:
        with open(path, encoding='utf-8', errors='surrogateescape') as lines:
            for line in lines:
                name = line.strip()
                if not name or name.startswith('#'):
                    continue
                name = LABEL_COLUMN.sub('', name)
                table.add(name)
                if not _exists(root, name, listings):
                    missing.append(name)
    except OSError as error:
        raise InputError(f'expected a list of image files at {path}: {error.strerror}') from error
    if not len(table):
        raise InputError(f'expected one image path a line in {path}, found none')
    if missing:
        raise InputError(
            f'{len(missing)} of the {len(table)} files listed in {path} do not exist below '
            f'{root or "the current folder"}: {name_some(missing)}')
    return table.build()


def read_names(path: Path, labelled: bool) -> PathTable:
    """Names of a file that was written by a tool, one a line, each with a label behind it or none has."""
    table = _Builder()
    with open(path, 'rb') as lines:
        for line in lines:
            name = line[:-1]
            table.add_bytes(name[:name.rindex(b' ')] if labelled else name)
    return table.build()


def _exists(root: str, name: str, listings: dict[str, set[str]]) -> bool:
    """Whether a file exists, asking the file system once a folder rather than once a file."""
    folder, _, leaf = name.rpartition('/')
    if folder not in listings:
        # An empty folder in front of a slash is the file system's root.
        path = os.path.join(root, name[:len(folder) + 1]) or '.'
        listings[folder] = set(os.listdir(path)) if os.path.isdir(path) else set()
    return leaf in listings[folder] or os.path.exists(os.path.join(root, name))


class _Builder:

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ends = array('q')

    def __len__(self) -> int:
        return len(self.ends)

    def add(self, path: str) -> None:
        self.add_bytes(os.fsencode(path))

    def add_bytes(self, path: bytes) -> None:
        self.buffer += path
        self.ends.append(len(self.buffer))

    def build(self) -> PathTable:
        return PathTable(np.array(self.buffer, np.uint8), np.array(self.ends, np.int64))
