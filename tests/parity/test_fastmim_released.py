"""Equality with FastMIM's released code; see tests/data/README.md for the origin of the numbers."""
from pathlib import Path

import numpy as np
import pytest
import torch

from mim_plugins.models import HOGTarget, PixelTarget, ReconstructionHead
from mim_plugins.ops import hog, unpatchify


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


def lay_out(tokens: torch.Tensor, cell: int, channels_last: bool) -> torch.Tensor:
    """Released predictions [B, N, C * f ** 2] as a decoder would give them, on the target's grid."""
    grid = int(tokens.shape[1]**.5)
    return unpatchify(tokens, (grid, grid), 128 // grid // cell, channels_last)


@pytest.mark.parametrize('case', ['vit', 'coarse_unit', 'fine_unit'])
def test_hog_loss_for_units_equal_coarser_and_finer_than_the_stride(released, case):
    prediction = lay_out(released[f'{case}/pred'], 8, channels_last=False)
    loss = ReconstructionHead().loss(prediction, HOGTarget()(released['images']), released[f'{case}/mask_units'])
    torch.testing.assert_close(loss.double(), released[f'{case}/hog_loss'], rtol=1e-3, atol=0)


@pytest.mark.parametrize('name, norm_patch', [('pixel_loss_norm1', 16), ('pixel_loss_norm0', None)])
def test_pixel_loss(released, name, norm_patch):
    prediction = lay_out(released['pixel/pred'], 1, channels_last=True)
    loss = ReconstructionHead().loss(
        prediction, PixelTarget(norm_patch)(released['images']), released['pixel/mask_units'])
    torch.testing.assert_close(loss.double(), released[f'pixel/{name}'], rtol=1e-5, atol=0)
