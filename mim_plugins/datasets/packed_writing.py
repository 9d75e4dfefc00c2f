"""Packing a folder of pictures: their short sides no longer than needed, in one file."""
from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mim_plugins.errors import ImageDecodeError, InputError, name_some
from mim_plugins.files import sync, write_whole

from .image_files import IMAGE_EXTENSIONS, path_at, scan_folder
from .packed import DATA, FORMAT, MANIFEST, NAMES, import_lmdb
from .transforms.jpeg_header import read_header
from .transforms.loading import decode_bgr, decode_errors

_LONGEST_NAME = 511  # bytes, LMDB's
_ROOM = 1 << 40  # bytes that the file may grow to
_SAMPLE = 200  # pictures that the size is estimated from
_PER_COMMIT = 1000
# LMDB's pages and nodes in bytes: a leaf holds at least two nodes, larger contents have pages of their own.
_PAGE, _PAGE_HEADER, _NODE_HEADER, _LARGEST_NODE = 4096, 16, 10, 2038


class PackSettings(NamedTuple):
    """How pictures are packed.

    Attributes:
        short_side: Pixels that no short side exceeds; smaller pictures keep their size.
        quality: Of JPEGs that are written, 1..100. Upright JPEGs that are small enough are copied as they are.
    """

    short_side: int = 256
    quality: int = 95

    def check(self) -> None:
        """Raise an InputError for what cannot be."""
        if self.short_side < 1:
            raise InputError(f'the short side must be at least 1 px, but is {self.short_side}')
        if not 1 <= self.quality <= 100:
            raise InputError(f"a JPEG's quality lies in 1..100, but is {self.quality}")


def stored_size(name: str, content: bytes) -> float:
    """Bytes that a picture takes in the file, its share of a page that it does not fill included."""
    node, own_pages = _NODE_HEADER + len(os.fsencode(name)), 0
    if node + len(content) <= _LARGEST_NODE:
        node += len(content)
    else:
        node, own_pages = node + 8, math.ceil((_PAGE_HEADER + len(content)) / _PAGE)
    # A full page gives its last node to the next one.
    return _PAGE * (own_pages + 1 / ((_PAGE - _PAGE_HEADER) // node - 1))


def readable_size(size: float) -> str:
    """Bytes as people read them."""
    return f'{size / 1e9:.2f} GB' if size >= 1e9 else f'{size / 1e6:.1f} MB'


def packed_file(content: bytes, settings: PackSettings) -> bytes:
    """The bytes to pack for those of a picture's file: an upright JPEG in 8-bit colour.

    Raises:
        Exception: Whatever the decoders raise on damaged files.
    """
    image = decode_bgr(content)
    height, width = image.shape[:2]
    shrink = settings.short_side / min(height, width)
    if shrink >= 1 and read_header(content):
        return content
    picture = Image.fromarray(image[..., ::-1])
    if shrink < 1:
        picture = picture.resize((round(width * shrink), round(height * shrink)), Image.Resampling.BICUBIC)
    packed = BytesIO()
    picture.save(packed, 'JPEG', quality=settings.quality)
    return packed.getvalue()


def _try_to_pack(name: str, source: str, settings: PackSettings) -> bytes | str:
    """The bytes to pack, or why the file cannot be."""
    if len(os.fsencode(name)) > _LONGEST_NAME or '\n' in name:
        return f'the name {name!r} has a line break or more than {_LONGEST_NAME} bytes'
    try:
        with decode_errors(name):
            return packed_file(Path(source, name).read_bytes(), settings)
    except ImageDecodeError as error:
        return str(error)


class Packing:
    """A folder to be packed.

    Args:
        source: Folder of pictures.
        out: Folder to write, which must not be there.
        settings: How.

    Raises:
        InputError: Settings out of range, no pictures, something at ``out``, ``out`` in ``source``, or no package lmdb.
    """

    def __init__(self, source: str | Path, out: str | Path, settings: PackSettings) -> None:
        settings.check()
        import_lmdb()
        self.source, self.out, self.settings = str(source), Path(out), settings
        if self.out.exists():
            raise InputError(f'{out} is there already: name another folder')
        if not self.out.absolute().parent.is_dir():
            raise InputError(f'there is no folder {self.out.absolute().parent} to write to')
        if self.out.resolve().is_relative_to(Path(source).resolve()):
            raise InputError(f'{out} lies in {source}, which is to be packed: name a folder outside')
        self.table = scan_folder(self.source, IMAGE_EXTENSIONS)

    def __len__(self) -> int:
        return len(self.table.ends)

    def name(self, index: int) -> str:
        """The name of a picture, relative to the source."""
        return path_at(*self.table, index)

    def check_room(self) -> int:
        """Estimated size in bytes, from some of the pictures.

        Raises:
            InputError: The disk has less.
        """
        chosen = {int(index) for index in np.linspace(0, len(self) - 1, min(_SAMPLE, len(self)))}
        names = [self.name(index) for index in sorted(chosen)]
        sizes = [stored_size(name, packed) for name in names if isinstance(packed := self._pack(name), bytes)]
        needed = int(sum(sizes) / len(chosen) * len(self))
        free = shutil.disk_usage(self.out.absolute().parent).free
        if needed > free:
            raise InputError(f'the pictures would take about {readable_size(needed)} packed, but {readable_size(free)} '
                             f'are free at {self.out.absolute().parent}')
        return needed

    def _pack(self, name: str) -> bytes | str:
        return _try_to_pack(name, self.source, self.settings)

    @contextmanager
    def _packed(self, workers: int) -> Iterator[Iterator[bytes | str]]:
        """Each picture's bytes, or what is wrong with it, in the folder's order."""
        names = map(self.name, range(len(self)))
        pack = partial(_try_to_pack, source=self.source, settings=self.settings)
        if workers < 2:
            yield map(pack, names)
            return
        with multiprocessing.get_context('fork').Pool(workers) as pool:
            yield pool.imap(pack, names, chunksize=16)

    def run(self, workers: int = 1, progress: Callable[[int], None] = lambda done: None) -> dict:
        """Write the packed pictures; ``out`` appears when they are whole and on the disk.

        Args:
            workers: Processes that decode and encode; the bytes are the same for any number.
            progress: Called after each picture with the number of those that are done.

        Returns:
            The manifest.

        Raises:
            InputError: No picture could be read, or something else lies where the parts are written.
        """
        part = self._empty_part()
        try:
            manifest = self._write(part, workers, progress)
            part.rename(self.out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        sync(self.out.absolute().parent)
        return manifest

    def _write(self, part: Path, workers: int, progress: Callable[[int], None]) -> dict:
        skipped: dict[str, str] = {}
        with self._packed(workers) as packed:
            self._write_data(part, packed, skipped, progress)
        names = [name for name in map(self.name, range(len(self))) if name not in skipped]
        if not names:
            raise InputError(f'none of the {len(self)} pictures in {self.source} could be read')
        labelled = all('/' in name for name in names)
        self._write_names(part / NAMES, names, labelled)
        manifest = dict(format=FORMAT, source=os.path.abspath(self.source), **self.settings._asdict(),
                        count=len(names), labelled=labelled, skipped=skipped)
        write_whole(part / MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=2) + '\n'))
        return manifest

    def _empty_part(self) -> Path:
        """Where to write; what a killed run left there is removed."""
        part = self.out.with_name(f'{self.out.name}.part')
        if part.exists():
            others = sorted({path.name.removesuffix('.part') for path in part.iterdir()} - {DATA, NAMES, MANIFEST})
            if others:
                raise InputError(f'{part} is in the way, with {name_some(others)} in it: move it, or name another '
                                 'folder to pack to')
            shutil.rmtree(part)
        return part

    def _write_data(self, folder: Path, packed: Iterator[bytes | str], skipped: dict[str, str],
                    progress: Callable[[int], None]) -> None:
        indices = iter(range(len(self)))
        with import_lmdb().open(str(folder), map_size=_ROOM, lock=False) as environment:
            while batch := list(islice(indices, _PER_COMMIT)):
                with environment.begin(write=True) as transaction:
                    for index, content in zip(batch, packed, strict=False):
                        if isinstance(content, str):
                            skipped[self.name(index)] = content
                        else:
                            transaction.put(os.fsencode(self.name(index)), content)
                        progress(index + 1)
            environment.sync(True)

    @staticmethod
    def _write_names(path: Path, names: list[str], labelled: bool) -> None:
        classes = {name: label for label, name in enumerate(sorted({name.split('/')[0] for name in names}))}
        lines = (f'{name} {classes[name.split("/")[0]]}\n' if labelled else f'{name}\n' for name in names)
        write_whole(path, lambda part: part.write_bytes(os.fsencode(''.join(lines))))
