"""A folder of pictures, a small teacher and stores of its features."""
import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mim_plugins.engine.extraction import read_extraction
from mim_plugins.engine.extraction_runs import run_extraction, run_verification

VIT = dict(type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, out_type='raw',
           arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32))
SHARD = 4
NUMBER = 10


def write_pictures(folder: Path, number: int = NUMBER, seed: int = 0) -> Path:
    """Smooth pictures of different sizes and aspects, in two folders."""
    random = np.random.default_rng(seed)
    for index in range(number):
        size = tuple(int(side) for side in random.integers(30, 90, size=2))
        coarse = Image.fromarray(random.integers(256, size=(5, 6, 3), dtype=np.uint8))
        path = folder / 'ab'[index % 2] / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize(size, Image.Resampling.BICUBIC).save(path)
    return folder


def config(pictures: Path, store: Path, crop: dict | None = None, **teacher: object) -> Config:
    """A training config as far as an extraction reads it."""
    return Config(dict(
        default_scope='mmpretrain',
        teacher={**dict(type='mim_plugins.TeacherTarget', channels=16, cell=8, teacher=VIT, random_weights=True),
                 **teacher},
        model=dict(data_preprocessor=dict(
            type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, to_rgb=True,
            mask=dict(unit=8, ratio=.5))),
        train_dataloader=dict(batch_size=4, num_workers=0, dataset=dict(
            type='mim_plugins.UnlabelledImages', data_root=str(pictures), pipeline=pipeline(pictures, store, crop)))))


def pipeline(pictures: Path, store: Path, crop: dict | None = None, **load: object) -> list[dict]:
    """Loading, crop of 4 x 4 of 6 x 6 cells, features, packing."""
    return [
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.GridAlignedCrop', scale=32, patch=8, middle_size=48, **(crop or {})),
        dict(type='mim_plugins.LoadOfflineTarget', store=str(store), image_root=str(pictures), **load),
        dict(type='mim_plugins.PackInputs'),
    ]


def make_store(pictures: Path, store: Path, dtype: str = 'float32', crop: dict | None = None, calibrated: bool = True,
               batch_size: int = 3, rank: int = 0, processes: int = 1, **teacher: object) -> Path:
    """Extract in this process."""
    extraction = read_extraction(config(pictures, store, crop, **teacher), store, dtype, SHARD)
    run_extraction(extraction, rank, processes, batch_size, 0, calibrated)
    return store


def verify(pictures: Path, store: Path, number: int | None = None, **options: object) -> None:
    """Verify in this process."""
    run_verification(read_extraction(config(pictures, store, **options), store, 'int8', SHARD), number, 3)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope='session')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures in two folders."""
    return write_pictures(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='session')
def stores(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that gives a whole store of the pictures, made once: not to be changed."""
    folder = tmp_path_factory.mktemp('stores')

    @functools.cache
    def made(dtype: str, flipped: bool) -> Path:
        name = f'{dtype}-flipped' if flipped else dtype
        return make_store(pictures, folder / name, dtype, dict(flip_prob=.5) if flipped else None)

    # The cache would take a default and the same value given by name for two stores.
    def store(dtype: str = 'float32', flipped: bool = False) -> Path:
        return made(dtype, flipped)

    return store


@pytest.fixture
def copied(stores: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that gives a copy of such a store of one view, to be changed."""
    def copy(dtype: str = 'float32', name: str = 'store') -> Path:
        return shutil.copytree(stores(dtype), tmp_path / name)

    return copy


@pytest.fixture(scope='session')
def flipped_store(stores: Callable[..., Path]) -> Path:
    """Both views of all of them, in float32."""
    return stores('float32', flipped=True)
