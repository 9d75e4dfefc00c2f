"""Files of features: safetensors, in which the features of all images lie one after the other.

A shard of n images with R cells in all their views together holds ``features`` [R, C], for int8 ``scales`` float32 [R],
and the index: ``ends`` int64 [n], ``grids`` int32 [n, 2] (cells in height and width; 0 x 0 of a file that could not be
read), ``contents`` uint8 [n, 16] (hashes of the image files), ``checksums`` int64 [n] (crc32 of all that belongs to an
image), ``names`` uint8 and ``name_ends`` int64 [n].
"""
from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mim_plugins.errors import InputError
from mim_plugins.files import write_whole

from .manifest import Manifest

_HASH_BYTES = 16
_KEY = 'mim_plugins'  # of the header
INDEX = ('ends', 'grids', 'contents', 'checksums', 'names', 'name_ends')


def shard_path(folder: Path, number: int) -> Path:
    """File of shard ``number``."""
    return Path(folder) / f'shard-{number:05}.safetensors'


def content_hash(content: bytes) -> bytes:
    """16 bytes that tell one file from another."""
    return hashlib.sha256(content).digest()[:_HASH_BYTES]


@dataclass(frozen=True)
class Entry:
    """What is stored of one image.

    Attributes:
        name: Of the file, as the store knows it.
        content: Hash of the file; zeros if it could not be read.
        grid: Cells in height and width.
        features: [views * h * w, C], view by view and row by row.
        scales: Float32 [views * h * w] for int8.
        problem: Why the file could not be read.
    """
    name: str
    content: bytes
    grid: tuple[int, int]
    features: Tensor
    scales: Tensor | None = None
    problem: str | None = None

    @classmethod
    def unreadable(cls, name: str, problem: str, manifest: Manifest) -> Entry:
        """The entry of a file that could not be read."""
        scales = torch.zeros(0) if manifest.dtype == 'int8' else None
        nothing = torch.zeros(0, manifest.channels, dtype=getattr(torch, manifest.dtype))
        return cls(name, bytes(_HASH_BYTES), (0, 0), nothing, scales, problem)

    def checksum(self) -> int:
        """crc32 of all that is stored."""
        found = zlib.crc32(os.fsencode(self.name))
        for part in (self.content, (self.problem or '').encode(), np.array(self.grid, '<i4'), _raw(self.features),
                     b'' if self.scales is None else _raw(self.scales)):
            found = zlib.crc32(part, found)
        return found


def _raw(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy()


def write_shard(folder: Path, number: int, entries: Sequence[Entry], manifest: Manifest) -> None:
    """Write shard ``number``: whole, or not at all; the same entries give the same bytes."""
    names = [os.fsencode(entry.name) for entry in entries]
    tensors = dict(
        features=torch.cat([entry.features for entry in entries]),
        ends=torch.tensor([len(entry.features) for entry in entries]).cumsum(0),
        grids=torch.tensor([entry.grid for entry in entries], dtype=torch.int32),
        contents=torch.frombuffer(bytearray(b''.join(entry.content for entry in entries)), dtype=torch.uint8).view(
            -1, _HASH_BYTES),
        checksums=torch.tensor([entry.checksum() for entry in entries]),
        names=torch.frombuffer(bytearray(b''.join(names)), dtype=torch.uint8),
        name_ends=torch.tensor([len(name) for name in names]).cumsum(0))
    if manifest.dtype == 'int8':
        tensors['scales'] = torch.cat([entry.scales for entry in entries])
    problems = {entry.name: entry.problem for entry in entries if entry.problem is not None}
    # One key: the order of several would not be the same in each run.
    header = {_KEY: json.dumps(dict(manifest=manifest.fingerprint(), shard=number, unreadable=problems))}
    write_whole(shard_path(folder, number), lambda path: save_file(tensors, path, header))


class Shard:
    """An open shard; its features stay on the disk until they are looked at.

    Args:
        folder: The store.
        number: Of the shard.
        manifest: Of the store.

    Attributes:
        index: The small arrays by name.
        problems: Names of the files that could not be read, and why.

    Raises:
        InputError: The file is missing, cut short, damaged or of another store.
    """

    def __init__(self, folder: Path, number: int, manifest: Manifest) -> None:
        self.path = path = shard_path(folder, number)
        if not path.is_file():
            raise InputError(f'{path} is missing')
        try:
            with safe_open(path, 'pt') as file:
                header = json.loads((file.metadata() or {}).get(_KEY, '{}'))
                self.index = {name: file.get_tensor(name).clone().numpy() for name in INDEX}
                self.features = file.get_tensor('features')
                self.scales = file.get_tensor('scales') if manifest.dtype == 'int8' else None
            self.problems = header['unreadable']
            of = header['manifest'], header['shard']
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f'{path} is cut short or damaged: {" ".join(str(error).split())}') from error
        if of != (manifest.fingerprint(), number):
            raise InputError(f'{path} belongs to another store, or to another place in it')
        self._check_shapes(manifest, len(manifest.shard(number)))

    def _check_shapes(self, manifest: Manifest, number: int) -> None:
        index, views = self.index, len(manifest.views)
        rows = np.diff(index['ends'], prepend=0)
        fits = all(len(index[name]) == number for name in INDEX if name != 'names') and (
            (rows == views * index['grids'].prod(1)).all()
            and tuple(self.features.shape) == (rows.sum(), manifest.channels)
            and self.features.dtype == getattr(torch, manifest.dtype)
            and (self.scales is None or self.scales.shape == (rows.sum(), ))
            and (np.diff(index['name_ends'], prepend=0) >= 0).all() and index['name_ends'][-1] == len(index['names']))
        if not fits:
            raise InputError(f'{self.path} is damaged: its index does not fit its features')

    def __len__(self) -> int:
        return len(self.index['ends'])

    def rows(self, place: int) -> slice:
        """Where the features of image ``place`` lie."""
        ends = self.index['ends']
        return slice(int(ends[place - 1]) if place else 0, int(ends[place]))

    def name(self, place: int) -> str:
        """Name of image ``place``."""
        ends = self.index['name_ends']
        return os.fsdecode(self.index['names'][ends[place - 1] if place else 0:ends[place]].tobytes())

    def entry(self, place: int) -> Entry:
        """All that is stored of image ``place``, nothing of which is copied."""
        name, rows = self.name(place), self.rows(place)
        return Entry(name, self.index['contents'][place].tobytes(), tuple(map(int, self.index['grids'][place])),
                     self.features[rows], None if self.scales is None else self.scales[rows], self.problems.get(name))

    def damaged(self) -> list[str]:
        """Names of the images whose features or index are not what was written."""
        entries = map(self.entry, range(len(self)))
        return [entry.name for entry, stored in zip(entries, self.index['checksums'], strict=True)
                if entry.checksum() != stored]
