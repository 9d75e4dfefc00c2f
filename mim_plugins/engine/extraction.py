"""From a training config to the images, the teacher and the store of its offline target."""
from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mmengine.fileio as fileio
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ALL_DATASETS
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.data import Dataset

from ..datasets import GridAlignedCrop
from ..datasets.transforms.grid_crop import check_untouched
from ..datasets.transforms.offline_target import loaded_hash
from ..errors import ImageDecodeError, InputError
from ..models import MaskedImageModel, TeacherTarget
from ..offline import FeatureStore, Manifest, content_hash, key_of
from ..pipelines import innermost_dataset, kinds_of, pipeline_of
from ..registry import MODELS, TRANSFORMS

# Packages that decide about pixels and features; whichever distribution brings them.
_MAKERS = ('torch', 'timm', 'pillow', 'opencv-python', 'opencv-python-headless', 'mmpretrain', 'onedl-mmpretrain')
# Options of loading transforms that say where files are, not how they are read.
_PLACES = ('backend_args', 'file_client_args', 'source', 'image_root')


@dataclass(frozen=True)
class MiddleImage:
    """One image as the teacher is to see it.

    Attributes:
        name: As the store knows it.
        content: Hash of its file; zeros if it could not be read.
        views: Uint8 array [V, C, H, W], or None if the file could not be read, or need not be looked at again.
        problem: Why it could not be read.
    """
    name: str
    content: bytes
    views: np.ndarray | None
    problem: str | None = None


class MiddleImages(Dataset):
    """The middle images of a data set, in its order.

    Args:
        dataset: Tells the paths.
        load: What reads a picture.
        crop: Makes the middle image.
        image_root: Folder that names are relative to.
        views: Of each image, see :data:`mim_plugins.offline.VIEWS`.

    Attributes:
        reused: A store whose images, where their files are the same, need not be looked at again.
    """

    def __init__(self, dataset: BaseDataset, load: Compose, crop: GridAlignedCrop, image_root: str,
                 views: Sequence[str]) -> None:
        self._dataset, self._load, self._crop, self._root, self._views = dataset, load, crop, image_root, views
        self.reused: FeatureStore | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def name(self, index: int) -> str:
        """Name of an image in the store."""
        return key_of(self._dataset.get_data_info(index)['img_path'], self._root)

    def load(self, index: int) -> dict:
        """A picture as the pipeline's transforms before the crop leave it."""
        results = self._load(self._dataset.get_data_info(index))
        check_untouched(results)
        return results

    def describe(self) -> dict:
        """How the middle images are made.

        Raises:
            InputError: None of the files can be read.
        """
        for index in range(len(self)):
            try:
                return self._crop.describe(self.load(index))
            except ImageDecodeError:
                continue
        raise InputError(f'none of the {len(self)} images can be read')

    def __getitem__(self, index: int) -> MiddleImage:
        name = self.name(index)
        try:
            if self.reused is not None:
                content = content_hash(fileio.get(self._dataset.get_data_info(index)['img_path']))
                if self.reused.same(name, content) is not None:
                    return MiddleImage(name, content, None)
            results = self.load(index)
        except (ImageDecodeError, FileNotFoundError) as error:
            return MiddleImage(name, bytes(len(content_hash(b''))), None, str(error))
        image = np.moveaxis(self._crop.middle_image(results['img']), -1, 0)
        forms = dict(identity=image, hflip=image[:, :, ::-1])
        return MiddleImage(name, loaded_hash(results), np.stack([forms[view] for view in self._views]))


class Teacher:
    """The frozen teacher behind the normalisation that the student's images get.

    Args:
        cfg: Training config with a ``teacher``, the config of a :class:`TeacherTarget`.
        device: Where it works.

    Raises:
        InputError: The config names no teacher, or one that cannot be built.
    """

    def __init__(self, cfg: Config, device: torch.device | str) -> None:
        config = cfg.get('teacher')
        if not config:
            raise InputError('the config names no teacher: it needs teacher=dict(...), the config of a '
                             'mim_plugins.TeacherTarget, beside its model')
        preprocessor = cfg.model.data_preprocessor
        self.target = MODELS.build(MaskedImageModel.with_normalization(config, preprocessor)).to(device)
        if not isinstance(self.target, TeacherTarget):
            raise InputError(f'the teacher must be a mim_plugins.TeacherTarget, but is a {type(self.target).__name__}')
        self._preprocessor = MODELS.build(preprocessor).to(device)
        self.to_rgb = self._preprocessor.swaps_channels

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features [B, h, w, C] in float32, on the device, of uint8 images [B, C, H, W]."""
        batch = self._preprocessor.normalized(dict(inputs=images, data_samples=[]))
        return self.target.features(batch['inputs']).movedim(1, -1)


@dataclass(frozen=True)
class Extraction:
    """All that an extraction works on.

    Attributes:
        folder: The store.
        images: What the teacher is to see.
        teacher: The teacher.
        manifest: What the store will say of itself; without calibration.
    """
    folder: Path
    images: MiddleImages
    teacher: Teacher
    manifest: Manifest


def _steps(cfg: Config) -> tuple[dict, list[dict], dict, dict]:
    """Data set, loading transforms, crop and LoadOfflineTarget of a training config."""
    pipeline = pipeline_of(cfg)
    kinds = kinds_of(pipeline)
    for kind in ('GridAlignedCrop', 'LoadOfflineTarget'):
        if kinds.count(kind) != 1:
            raise InputError(f'features are extracted for the training pipeline of the config, which must have one '
                             f'mim_plugins.{kind}, but has {kinds.count(kind)}: {", ".join(kinds) or "no pipeline"}')
    crop = kinds.index('GridAlignedCrop')
    if others := [kind for kind in kinds[:crop] if not kind.startswith('Load')]:
        raise InputError(f'the teacher sees pictures as they are in their files, so nothing but loading may come '
                         f'before GridAlignedCrop, but there is {", ".join(others)}')
    dataset = innermost_dataset(cfg.train_dataloader)
    return dataset, pipeline[:crop], pipeline[crop], pipeline[kinds.index('LoadOfflineTarget')]


def store_of(cfg: Config) -> Path:
    """The store that a training config reads.

    Raises:
        InputError: It reads none.
    """
    return Path(_steps(cfg)[3]['store']).expanduser()


def names_hash(images: MiddleImages) -> str:
    """sha256 of all names in order."""
    digest = hashlib.sha256()
    for index in range(len(images)):
        digest.update(images.name(index).encode(errors='surrogateescape') + b'\n')
    return digest.hexdigest()


def read_extraction(cfg: Config, folder: Path, dtype: str, images_per_shard: int, local_rank: int = 0) -> Extraction:
    """What a training config asks to be extracted.

    The views follow from the crop: the mirrored one is stored if it flips.

    Args:
        cfg: Training config.
        folder: The store.
        dtype: Of the stored features.
        images_per_shard: Images per file.
        local_rank: Number of the GPU to work on, if there is one.

    Raises:
        InputError: The config does not say what is needed, or there are no images.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset, loading, crop, step = _steps(cfg)
    crop = TRANSFORMS.build(crop)
    views = ('identity', 'hflip') if crop.flip_prob else ('identity', )
    plain: dict[str, Any] = {**dataset, 'pipeline': []}
    images = MiddleImages(
        ALL_DATASETS.build(plain), Compose([TRANSFORMS.build(one) for one in loading]), crop,
        step.get('image_root', ''), views)
    # Before the teacher, which may take long to load.
    manifest = Manifest(
        teacher={}, middle_image=images.describe(), channels=0, dtype=dtype, views=views,
        images=dict(count=len(images), names=names_hash(images)), images_per_shard=images_per_shard,
        made_with=_versions())
    teacher = Teacher(cfg, torch.device('cuda', local_rank) if torch.cuda.is_available() else 'cpu')
    if teacher.target.map_stride != crop.patch:
        raise InputError(f'the teacher gives features of {teacher.target.map_stride} px (cell), but crops lie on a '
                         f'grid of {crop.patch} px (patch of GridAlignedCrop)')
    loaded = [{name: value for name, value in step.items() if name not in _PLACES} for step in loading]
    seen = dict(loading=loaded, to_rgb=bool(teacher.to_rgb))
    manifest = replace(
        manifest, teacher=dict(teacher.target.describe(), sees=seen), channels=teacher.target.channels)
    return Extraction(folder, images, teacher, manifest)


def _versions() -> dict[str, str]:
    found = {}
    for name in _MAKERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
