"""Shared fixtures: seeded randomness, registries, a small model, the benchmarks' scripts."""
import copy
import importlib
import importlib.util
import logging
import multiprocessing.process
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import matplotlib.font_manager  # noqa: F401  the first import in a new home starts a process
import pytest
import torch
from mmengine.registry import init_default_scope

from mim_plugins.registry import MODELS

from .runs import ask_for_no_versions

SMALL_FASTMIM = dict(
    type='mim_plugins.FastMIM',
    input_size=32,
    data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, to_rgb=True,
        mask=dict(unit=8, ratio=0.5)),
    fill=dict(type='mim_plugins.ImageTokenFill'),
    target_generator=dict(type='mim_plugins.HOGTarget', cell=4),
    backbone=dict(
        type='mim_plugins.SinCosVisionTransformer', patch_size=8, out_type='raw',
        arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)),
    neck=dict(type='mim_plugins.TransformerDecoder', in_channels=16, stride=8, num_extra_tokens=1, embed_dims=16,
              depth=1, num_heads=2),
    head=dict(type='mim_plugins.ReconstructionHead'))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Packages that are there and do not import let the tests fail: a broken level two must not look like level one.
    missing = [name for name in ('mmcv._ext', 'mmdet', 'mmseg') if importlib.util.find_spec(name) is None]
    for item in items:
        if item.get_closest_marker('gpu') and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason='torch sees no GPU'))
        if item.get_closest_marker('downstream') and missing:
            item.add_marker(pytest.mark.skip(reason=f'level downstream is not installed: {", ".join(missing)}'))


def pytest_configure() -> None:
    # Tests that run beside each other would wait for each other's threads.
    if 'PYTEST_XDIST_WORKER' in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_unmarked_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process without the mark: the fast set must stay fast.

    Fixtures of a module or session run before this one, unwatched.
    """
    if request.node.get_closest_marker('processes'):
        return

    ask_for_no_versions(monkeypatch)

    def refuse(process: object, *arguments: object, **options: object) -> None:
        raise RuntimeError(f'{request.node.nodeid} starts a process: mark it with pytest.mark.processes')

    monkeypatch.setattr(subprocess.Popen, '__init__', refuse)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, 'start', refuse)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    logging.getLogger('mmengine').setLevel(logging.WARNING)


@pytest.fixture
def small_config() -> dict:
    """Config of a FastMIM that runs in milliseconds; the test's own to change."""
    return copy.deepcopy(SMALL_FASTMIM)


@pytest.fixture
def small_model(small_config: dict) -> torch.nn.Module:
    model = MODELS.build(small_config)
    model.init_weights()
    return model


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of benchmarks/ by name."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / 'benchmarks')
    return importlib.import_module
