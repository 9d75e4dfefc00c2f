"""Stored features beside the picture."""
from __future__ import annotations

from pathlib import Path

import mmengine.fileio as fileio
from mmcv.transforms import BaseTransform

from mim_plugins.errors import InputError
from mim_plugins.offline import FeatureStore, content_hash, key_of, stacked_calibration
from mim_plugins.registry import TRANSFORMS

from .grid_crop import check_aligned


def loaded_hash(results: dict) -> bytes:
    """Hash of the file that a picture was loaded from; it is read again if the loader did not keep its bytes."""
    content = results.get('content')
    return content_hash(fileio.get(results['img_path']) if content is None else content)


@TRANSFORMS.register_module()
class LoadOfflineTarget(BaseTransform):
    """Set ``stored_target``, the features that a teacher gave the part of the middle image that ``img`` shows.

    It stands behind :class:`GridAlignedCrop`; :class:`PackInputs` of this package packs what it leaves, and
    :class:`OfflineTarget` makes the target of it: ``features`` [h, w, C] in the store's dtype, and for int8 ``scales``
    [h, w] and maybe ``calibration`` [2, C].

    Args:
        store: Folder that ``tools/extract_targets.py`` wrote.
        image_root: Folder that the names in the store are relative to: usually the data set's.
        check_content: Compare each image file with the one that the teacher saw, by its hash.
        teacher: What the store's teacher must be: its name, or the beginning of the sha256 of its weights. None takes
            any.

    Raises:
        InputError: The store is missing, not whole or of another teacher; from the transform, a picture that is not in
            it, has changed since, or was cropped by something else or from another middle image.
    """

    def __init__(self, store: str | Path, image_root: str | Path = '', check_content: bool = True,
                 teacher: str | None = None) -> None:
        if not isinstance(store, (str, Path)):
            raise InputError(f'a store is a folder, but got {store!r}')
        self.store = FeatureStore(store)
        self.image_root = image_root or ''
        self.check_content = check_content
        known = self.store.manifest.teacher
        pinned = teacher is None or teacher == known['name'] or (
            bool(teacher) and known['sha256'].startswith(str(teacher)))
        if not pinned:
            raise InputError(f'the pipeline wants features of the teacher {teacher}, but the store {store} has those '
                             f'of {known["name"]} with weights {known["sha256"]}')
        self._calibration = self.store.calibration and stacked_calibration(self.store.calibration)

    def transform(self, results: dict) -> dict:
        check_aligned(results)
        self.store.check_middle_image(results['middle_image'])
        content = loaded_hash(results) if self.check_content else None
        features, scales = self.store.read(
            key_of(results['img_path'], self.image_root), results['grid_box'], results['view'], content,
            results['middle_grid'])
        found = dict(features=features, scales=scales, calibration=self._calibration)
        return {**results, 'stored_target': {name: value for name, value in found.items() if value is not None}}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(store={str(self.store.folder)!r}, image_root={str(self.image_root)!r})'
