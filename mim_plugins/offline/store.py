"""Reading slices of stored features."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mim_plugins.errors import InputError, name_some
from mim_plugins.files import write_whole
from mim_plugins.ops import Calibration

from .manifest import Manifest, differences
from .shards import Entry, Shard

_CALIBRATION = 'calibration.safetensors'
_THREADS = 16


def key_of(path: str | Path, root: str | Path = '') -> str:
    """The name of an image in a store: relative to ``root`` if it lies below it."""
    path = os.path.normpath(path)
    root = os.path.normpath(os.path.expanduser(root)) if root else ''
    return path[len(root) + 1:] if root and path.startswith(root + os.sep) else path


def _number(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(key), digest_size=8).digest(), 'little')


def save_calibration(folder: Path, calibration: Calibration) -> str:
    """Write the channels' calibration and give its sha256."""
    content = save(calibration._asdict())
    write_whole(folder / _CALIBRATION, lambda path: path.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def load_calibration(folder: Path, manifest: Manifest) -> Calibration | None:
    """The calibration that a manifest names.

    Raises:
        InputError: It is missing or another one.
    """
    if manifest.calibration is None:
        return None
    path = Path(folder) / _CALIBRATION
    content = path.read_bytes() if path.is_file() else b''
    if hashlib.sha256(content).hexdigest() != manifest.calibration:
        raise InputError(f'{path} is {"damaged" if content else "missing"}: make the store anew in another folder')
    try:
        return Calibration(**load(content))
    except (SafetensorError, TypeError) as error:
        raise InputError(f'{path} is damaged: {error}') from error


def open_shards(folder: Path, manifest: Manifest) -> tuple[list[Shard], list[str]]:
    """All shards of a store that are whole, and what is wrong with the others."""

    def attempt(number: int) -> Shard | str:
        try:
            return Shard(folder, number, manifest)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(_THREADS) as threads:  # a network's answers are waited for
        found = list(threads.map(attempt, range(manifest.shards)))
    return ([shard for shard in found if isinstance(shard, Shard)],
            [problem for problem in found if isinstance(problem, str)])


class FeatureStore:
    """Features of a frozen teacher on the disk, read by image and box.

    Opening looks at every file; reading maps it into memory, so that workers, forked or spawned, share what the
    system caches and copy nothing but what they are asked for.

    Args:
        folder: The store, as ``tools/extract_targets.py`` wrote it.

    Attributes:
        manifest: How the store was made.
        calibration: Of the channels, or None.

    Raises:
        InputError: There is no store, a file of it is missing, cut short or of another one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.manifest = Manifest.load(self.folder)
        self.calibration = load_calibration(self.folder, self.manifest)
        self._shards, problems = open_shards(self.folder, self.manifest)
        if problems:
            raise InputError(
                f'the store {self.folder} is not whole: of its {self.manifest.shards} shards, {len(problems)} cannot '
                f'be used ({name_some(problems)}); tools/extract_targets.py makes what is missing')
        self._keys, self._places = self._sorted_keys()

    def _sorted_keys(self) -> tuple[np.ndarray, np.ndarray]:
        # Arrays, not a dict of a million strings that every forked worker would copy by and by.
        numbers = np.fromiter((_number(name) for name in self.names()), np.uint64, len(self))
        order = np.argsort(numbers, kind='stable')
        return numbers[order], order

    def __getstate__(self) -> dict[str, Any]:
        """A spawned worker opens the files itself: their features must not travel."""
        return dict(folder=self.folder)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __len__(self) -> int:
        return self.manifest.images['count']

    def names(self) -> Iterable[str]:
        """Names of all images in order."""
        return (shard.name(place) for shard in self._shards for place in range(len(shard)))

    def place(self, key: str) -> tuple[Shard, int]:
        """Shard of an image and its place in there.

        Raises:
            InputError: The image is not in the store.
        """
        number = np.uint64(_number(key))
        at = int(np.searchsorted(self._keys, number))
        while at < len(self._keys) and self._keys[at] == number:  # several names may share a number
            shard, place = self._nth(int(self._places[at]))
            if shard.name(place) == key:
                return shard, place
            at += 1
        raise InputError(
            f'the image {key} is not in the store {self.folder}, which holds {len(self)} images such as '
            f'{self._shards[0].name(0)}: extract into a new folder with --reuse {self.folder}, or state the image_root '
            'that its names are relative to')

    def _nth(self, index: int) -> tuple[Shard, int]:
        return self._shards[index // self.manifest.images_per_shard], index % self.manifest.images_per_shard

    def unreadable(self) -> dict[str, str]:
        """Files that could not be read when the store was made, and why."""
        return {name: problem for shard in self._shards for name, problem in shard.problems.items()}

    def check_middle_image(self, description: dict) -> None:
        """Compare how middle images are made here with how those of the store were.

        Raises:
            InputError: They differ; the message names both.
        """
        if description != self.manifest.middle_image:
            loader = ''
            if description.get('decoder') == 'unknown':
                loader = f' (load with mim_plugins.{self.manifest.middle_image["decoder"]})'
            raise InputError(f"the pipeline's middle images or their cells are not those of the store {self.folder}: "
                             + '; '.join(differences(description, self.manifest.middle_image)) + loader)

    def same(self, key: str, content: bytes) -> Entry | None:
        """The entry of an image if it is of a file with this hash, else None."""
        try:
            return self._entry(key, content)
        except InputError:
            return None

    def check_content(self, key: str, content: bytes) -> None:
        """Raise an InputError if an image's hash is not that of the file that the teacher saw."""
        self._entry(key, content)

    def _entry(self, key: str, content: bytes | None) -> Entry:
        shard, place = self.place(key)
        entry = shard.entry(place)
        if entry.problem is not None:
            raise InputError(f'the store {self.folder} has no features of {key}, which could not be read when it was '
                             f'made: {entry.problem}')
        if content is not None and content != entry.content:
            raise InputError(f'the image {key} has changed since the store {self.folder} was made: the hash of its '
                             f'file is {content.hex()} now and was {entry.content.hex()}; extract into a new folder '
                             f'with --reuse {self.folder}')
        return entry

    def read(self, key: str, box: tuple[int, int, int, int] | None = None, view: str = 'identity',
             content: bytes | None = None, grid: tuple[int, int] | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of a part of an image.

        Args:
            key: Name of the image, see :func:`key_of`.
            box: (top, left, bottom, right) in cells of the view; None for all.
            view: ``'identity'`` or ``'hflip'``, whose boxes count from the mirrored image's left.
            content: Hash of the image file, to be compared with that of the one that the teacher saw.
            grid: Cells of the middle image, to be compared likewise.

        Returns:
            Features [h, w, C] in the store's dtype and, for int8, float32 scales [h, w]: views of the mapped file.

        Raises:
            InputError: The image is not in the store, could not be read when it was made, or has changed since; the
                view is not stored; the box does not lie on the grid.
        """
        entry = self._entry(key, content)
        if view not in self.manifest.views:
            raise InputError(f'the store {self.folder} holds the views {", ".join(self.manifest.views)}, but {view} '
                             'was asked for: extract with the flip_prob that the training has, or do not flip')
        height, width = entry.grid
        if grid is not None and tuple(grid) != entry.grid:
            raise InputError(f'the middle image of {key} has {grid[0]}x{grid[1]} cells now, but had {height}x{width} '
                             f'when the store {self.folder} was made')
        top, left, bottom, right = box or (0, 0, height, width)
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise InputError(f'the box {(top, left, bottom, right)} (top, left, bottom, right) does not lie on the '
                             f'grid of {height}x{width} cells that the store has of {key}')
        start = self.manifest.views.index(view) * height * width
        cells = slice(start, start + height * width)

        def cut(rows: Tensor) -> Tensor:
            return rows[cells].unflatten(0, (height, width))[top:bottom, left:right]

        return cut(entry.features), None if entry.scales is None else cut(entry.scales)


def stacked_calibration(calibration: Calibration) -> Tensor:
    """Shift and scale as one tensor [2, C], to travel with a sample."""
    return torch.stack(tuple(calibration))
