"""Users' object masks: a folder of pictures, or the annotations of a COCO json."""
from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from mim_plugins.errors import InputError


class ObjectMasks:
    """Where the objects of pictures are.

    A picture is found by its path below ``image_root``. Without one, the longest end of its path that the source
    knows counts; a COCO json is asked for the bare name as well, if only one of its images is called so. Masks are of
    the upright picture, as :class:`LoadRGBImage` gives it: EXIF's orientation is not applied to them.

    Args:
        source: A folder with NAME.png for NAME.jpg (or another ending) in the same sub-folders, where whatever is not
            zero is an object and transparency is ignored; or a COCO json, where all annotations of an image
            together are its objects.
        image_root: Folder that the names of the source are relative to.

    Raises:
        InputError: There is no such source, it is no COCO json with segmentations, or pycocotools is missing.
    """

    def __init__(self, source: str | Path, image_root: str | Path | None = None) -> None:
        source = Path(source).expanduser()
        if not source.exists():
            raise InputError(f'expected object masks at {source}, a folder or a COCO json, but nothing is there')
        self.source = source
        self.image_root = image_root and Path(image_root).expanduser()
        self._store = _Folder(source) if source.is_dir() else _Coco(source)

    def masks(self, path: str | Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The mask of one picture, bool [H, W]; True = object.

        Args:
            path: The picture.
            shape: The picture's (H, W), to compare with.

        Raises:
            InputError: There is no mask, it cannot be read, or it has another size.
        """
        key = self._find(path)
        if key is None:
            raise InputError(f'{self.source} has no object mask of {path}')
        mask = self._store.read(key)
        if shape is not None and mask.shape != tuple(shape[:2]):
            raise InputError('the object mask of {} must have the {}x{} px of the picture, but has {}x{}'.format(
                path, *shape[:2], *mask.shape))
        return mask

    def check(self, paths: Sequence[str | Path]) -> None:
        """Make sure that each of some pictures has a mask; none is read.

        Raises:
            InputError: Some have none.
        """
        missing = [path for path in paths if self._find(path) is None]
        if missing:
            raise InputError(f'{len(missing)} of {len(paths)} pictures have no object mask in {self.source}, '
                             f'the first is {missing[0]}')

    def _find(self, path: str | Path) -> str | None:
        found = next(filter(None, map(self._store.find, self._names(path))), None)
        return found or (self._store.find_bare(Path(path).name) if self.image_root is None else None)

    def _names(self, path: str | Path) -> Iterator[str]:
        """What the source may call a picture."""
        if self.image_root is None:
            parts = Path(os.path.abspath(path)).parts[1:]
            yield from ('/'.join(parts[start:]) for start in range(len(parts)))
        else:
            name = Path(os.path.relpath(path, self.image_root))
            if '..' not in name.parts:
                yield name.as_posix()


class _Store(ABC):

    @abstractmethod
    def find(self, name: str) -> str | None:
        """The key of the picture of this name, for ``read``."""

    def find_bare(self, name: str) -> str | None:
        """The key of the only picture whose name, without folders, is this."""
        return None

    @abstractmethod
    def read(self, key: str) -> np.ndarray:
        """A mask, bool [H, W]."""


class _Folder(_Store):

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> str | None:
        path = os.path.splitext(os.path.join(self.folder, name))[0] + '.png'
        return path if os.path.isfile(path) else None

    def read(self, key: str) -> np.ndarray:
        try:
            with Image.open(key) as image:
                if len(image.getbands()) > 1:
                    return np.asarray(image.convert('RGB')).any(-1)
                return np.asarray(image) != 0  # a palette's numbers, not its colours
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f'the object mask {key} cannot be read: {error}') from error


class _Annotated(NamedTuple):
    """An image of a COCO json and the segmentations of its annotations."""

    size: tuple[int, int]
    segmentations: list


class _Coco(_Store):

    def __init__(self, file: Path) -> None:
        try:
            import pycocotools.mask  # noqa: F401
        except ImportError as error:
            raise InputError(f'reading object masks from {file} needs pycocotools: pip install pycocotools') from error
        self.file = file
        try:
            content = json.loads(file.read_bytes())
            segmentations = defaultdict(list)
            for annotation in content['annotations']:
                segmentations[annotation['image_id']].append(annotation['segmentation'])
            self.images = {image['file_name']: _Annotated((image['height'], image['width']), segmentations[image['id']])
                           for image in content['images']}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f'{file} must be a COCO json of images and annotations with segmentations, but reading '
                             f'it ended with {type(error).__name__}: {error}') from error
        bare = {name: PurePosixPath(name).name for name in self.images}
        count = Counter(bare.values())
        self.by_bare_name = {short: name for name, short in bare.items() if count[short] == 1}

    def find(self, name: str) -> str | None:
        return name if name in self.images else None

    def find_bare(self, name: str) -> str | None:
        return self.by_bare_name.get(name)

    def read(self, key: str) -> np.ndarray:
        from pycocotools import mask as coco
        size, segmentations = self.images[key]
        mask = np.zeros(size, dtype=bool)
        try:
            for segmentation in segmentations:
                # One by one, as pycocotools never comes back from joining damaged ones.
                for runs in _runs(segmentation, size):
                    mask |= coco.decode(runs).astype(bool)
        except Exception as error:  # pycocotools raises bare ones
            raise InputError(f'an annotation of {key} in {self.file} is damaged: {error}') from error
        return mask


def _runs(segmentation: list | dict, size: tuple[int, int]) -> list[dict]:
    """The run lengths of one annotation of an image of ``size`` (H, W)."""
    from pycocotools import mask as coco
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]  # of three corners at least
        return coco.frPyObjects(polygons, *size) if polygons else []
    if tuple(segmentation['size']) != size:
        raise ValueError('it is of {}x{} px, the image of {}x{}'.format(*segmentation['size'], *size))
    if not isinstance(segmentation['counts'], list):
        return [segmentation]
    total = sum(segmentation['counts'])
    if total != size[0] * size[1]:  # pycocotools takes the rest from whatever was in memory
        raise ValueError(f'its runs have {total} px, the image {size[0] * size[1]}')
    return [coco.frPyObjects(segmentation, *size)]
