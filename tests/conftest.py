"""Shared fixtures: seeded randomness, registries, a small model, the benchmarks' scripts."""
import copy
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.registry import init_default_scope

from mim_plugins.registry import MODELS

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
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='torch sees no GPU'))


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
