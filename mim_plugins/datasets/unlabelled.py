"""Pictures without labels, from a folder or a list file."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.dist import get_world_size
from mmengine.logging import print_log

from mim_plugins.errors import ImageDecodeError, InputError, UnreadableImagesError, name_some
from mim_plugins.registry import DATASETS

from .image_files import IMAGE_EXTENSIONS, path_at, read_list, scan_folder
from .keyed import seeded, with_size
from .packed import PackedPictures, is_packed

UNTRIED, READ, UNREADABLE = range(3)


@DATASETS.register_module()
class UnlabelledImages(BaseDataset):
    """All images in or below a folder, those that a list file names, or those that were packed.

    Each sample is ``dict(img_path=..., sample_idx=...)``, passed through the pipeline. A file that
    ``LoadRGBImage`` cannot decode is logged by name, once, and the next readable file takes its
    place. Errors of other transforms are not caught.

    Args:
        data_root: Folder; alone, all images in or below it are used. It may be one that ``tools/pack_images.py``
            wrote: then samples hold the files' bytes as ``content``, which ``LoadRGBImage`` takes.
        ann_file: Optional list file, itself relative to ``data_root``: one path a line, absolute or
            relative to the images' folder, with an optional integer label that is ignored.
        data_prefix: Folder of the images below ``data_root``.
        pipeline: Transforms, the first of which is usually ``LoadRGBImage``.
        extensions: File name endings to look for in a folder, of any case.
        max_unreadable: Largest share of files, in 0..1, that may be unreadable.
        indices: The first n pictures (the last, if negative), or these.
        lazy_init: Put off looking for the files until the data set is used.

    Raises:
        InputError: If there is no such folder or list, it holds no image, a list comes with packed pictures or mmcv's
            loader does, or, from an access, more than ``max_unreadable`` of the files cannot be read.
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: str = '',
        pipeline: Sequence[dict | Callable] = (),
        extensions: Sequence[str] = IMAGE_EXTENSIONS,
        max_unreadable: float = 0.01,
        indices: int | Sequence[int] | None = None,
        lazy_init: bool = False,
    ) -> None:
        if not data_root and not ann_file:
            raise InputError('expected data_root (a folder) or ann_file (a list), got neither')
        if not 0 <= max_unreadable <= 1:
            raise InputError(f'max_unreadable must be a share from 0 to 1, got {max_unreadable}')
        self.extensions = tuple(extensions)
        self.max_unreadable = max_unreadable
        super().__init__(
            ann_file=os.path.expanduser(ann_file),
            data_root=os.path.expanduser(data_root),
            data_prefix=dict(img_path=data_prefix),
            indices=indices,
            pipeline=list(pipeline),
            lazy_init=lazy_init)

    def full_init(self) -> None:
        """Look for the files, unless that has been done."""
        if self._fully_initialized:
            return
        root = self.data_prefix['img_path']
        self.data_prefix['img_path'] = root = root.rstrip('/') or root
        # These two arrays take the place of BaseDataset's pickled dicts, so its subsets work.
        self._packed = self._open_packed(root) if is_packed(root) else None
        self.data_bytes, self.data_address = (
            self._packed.names() if self._packed
            else read_list(self.ann_file, root) if self.ann_file
            else scan_folder(root, self.extensions))
        self._fully_initialized = True
        self._start_record()
        if self._indices is not None:
            chosen = self._indices
            if isinstance(chosen, int):
                # BaseDataset refuses a whole number that is not below the number of files.
                every = range(len(self))
                chosen = every[:chosen] if chosen >= 0 else every[chosen:]
            self.get_subset_(chosen)

    def _open_packed(self, root: str) -> PackedPictures:
        if self.ann_file:
            raise InputError(f'{root} holds packed pictures, which are all used, but ann_file is {self.ann_file}: '
                             'leave it out, or pack those pictures alone')
        first = next(iter(self.pipeline.transforms), None)
        if type(first).__name__ == 'LoadImageFromFile':
            raise InputError(f'{root} holds packed pictures, which LoadImageFromFile does not read here: load with '
                             'mim_plugins.LoadRGBImage or mim_plugins.LoadAndCrop')
        return PackedPictures(root)

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Path of one picture."""
        idx = range(len(self))[idx]
        return dict(img_path=os.path.join(self.data_prefix['img_path'], self._name(idx)), sample_idx=idx)

    def _name(self, idx: int) -> str:
        return path_at(self.data_bytes, self.data_address, idx)

    def prepare_data(self, idx: int) -> dict | None:
        """The picture ``idx``, or the next readable one, through the pipeline.

        Args:
            idx: A place, or a :class:`SampleKey` that also states the sample's randomness and size.

        Raises:
            UnreadableImagesError: If too many files are unreadable.
        """
        with seeded(idx):
            return self._readable_from(idx)

    def _readable_from(self, idx: int) -> dict | None:
        for step in range(len(self)):
            info = self.get_data_info((idx + step) % len(self))
            index = info['sample_idx']
            try:
                if self._packed:
                    info['content'] = self._packed.read(self._name(index))
                data = self.pipeline(with_size(info, idx))
            except ImageDecodeError as error:
                self._note_unreadable(index, error)
                continue
            self._record[index] = READ  # also a file that failed before: storage may hiccup
            return data
        raise UnreadableImagesError(f'none of the {len(self)} files could be read')

    @force_full_init
    def unreadable_files(self) -> list[str]:
        """Paths found unreadable so far, by any worker of this process and in any epoch."""
        return [self.get_data_info(int(i))['img_path'] for i in self._unreadable()]

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        super().get_subset_(indices)
        self._start_record()

    def get_subset(self, indices: int | Sequence[int]) -> UnlabelledImages:
        subset = super().get_subset(indices)
        subset._start_record()
        return subset

    def _start_record(self) -> None:
        # Shared memory, so that all workers write to one record, forked or spawned.
        self._record = torch.full((len(self),), UNTRIED, dtype=torch.uint8).share_memory_()
        self._world_size = get_world_size()

    def _unreadable(self) -> np.ndarray:
        return np.flatnonzero(self._record.numpy() == UNREADABLE)

    def _note_unreadable(self, index: int, error: ImageDecodeError) -> None:
        record = self._record.numpy()
        if record[index] != UNREADABLE:
            record[index] = UNREADABLE
            print_log(f'skipped: {error}', logger='current', level=logging.WARNING)
        bad = len(self._unreadable())
        # In distributed training this process sees its share of the files in an epoch.
        share = -(-len(self) // self._world_size)
        seen = max(int(np.count_nonzero(record)), share)
        # One file alone stops a run only if it is too much for the whole data set.
        allowed = max(self.max_unreadable * seen, min(1, self.max_unreadable * len(self)))
        if bad > allowed:
            raise UnreadableImagesError(
                f'{bad} of {seen} files could not be read, more than max_unreadable = '
                f'{self.max_unreadable:g} allows: {name_some(self.unreadable_files())}')
