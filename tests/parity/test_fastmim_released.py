"""Equality with FastMIM's released code; see tests/data/README.md for the origin of the numbers."""
from pathlib import Path

import numpy as np
import pytest
import torch

from mim_plugins.models import HOGTarget, PixelTarget, ReconstructionHead
from mim_plugins.ops import hog, tokens_to_map


@pytest.fixture(scope='module')
def released() -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).parents[1] / 'data' / 'fastmim_released.npz') as data:
        return {name: torch.from_numpy(data[name]) for name in data.files}


@pytest.mark.parametrize('name, normalize', [('hog_l2', True), ('hog_raw', False)])
def test_hog(released, name, normalize):
    expected = released[name]
    error = (hog(released['images'], normalize=normalize) - expected).abs() / (1 + expected.abs())
    assert (error > 1e-4).float().mean() <= 1e-3  # votes on a bin border
    assert error.median() < 1e-5


@pytest.mark.parametrize('case', ['vit', 'coarse_unit', 'fine_unit'])
def test_hog_loss_for_units_equal_coarser_and_finer_than_the_stride(released, case):
    prediction, grid = released[f'{case}/pred'], 128 // int(released[f'{case}/stride'])
    loss = ReconstructionHead().loss(
        tokens_to_map(prediction, (grid, grid)), HOGTarget()(released['images']), released[f'{case}/mask_units'])
    torch.testing.assert_close(loss.double(), released[f'{case}/hog_loss'], rtol=1e-3, atol=0)


@pytest.mark.parametrize('name, norm_patch', [('pixel_loss_norm1', 16), ('pixel_loss_norm0', None)])
def test_pixel_loss(released, name, norm_patch):
    loss = ReconstructionHead(channels_last=True).loss(
        tokens_to_map(released['pixel/pred'], (8, 8)), PixelTarget(norm_patch)(released['images']),
        released['pixel/mask_units'])
    torch.testing.assert_close(loss.double(), released[f'pixel/{name}'], rtol=1e-5, atol=0)
