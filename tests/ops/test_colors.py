"""Nearest colours, and patches back from their normalisation."""
import numpy as np
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import colors, normalize_patches
from mim_plugins.ops.colors import nearest_colors, restore_patches


def test_the_nearest_colour_is_that_of_a_slow_search():
    images, centers = torch.randn(2, 3, 4, 6), torch.randn(5, 3)
    expected = np.zeros((2, 4, 6), dtype=np.int64)
    for sample, row, column in np.ndindex(2, 4, 6):
        distances = (centers - images[sample, :, row, column]).norm(dim=1)
        expected[sample, row, column] = distances.argmin()
    found = nearest_colors(images, centers)
    assert found.dtype == torch.int64 and found.tolist() == expected.tolist()


def test_of_equally_near_colours_the_first_is_taken():
    images = torch.tensor([0., 2., 4.]).view(1, 1, 1, 3)
    assert nearest_colors(images, torch.tensor([[1.], [3.], [3.], [-1.]])).tolist() == [[[0, 0, 1]]]


def test_pieces_of_any_size_give_the_same(monkeypatch):
    images, centers = torch.randn(2, 3, 5, 7), torch.randn(4, 3)
    whole = nearest_colors(images, centers)
    for piece in (1, 12, 13):  # less than the palette, three pixels, and a rest
        monkeypatch.setattr(colors, '_CPU_PIECE', piece)
        assert torch.equal(nearest_colors(images, centers), whole)


def test_restoring_undoes_the_normalisation():
    images = 5 * torch.randn(2, 3, 8, 12) + 2
    torch.testing.assert_close(restore_patches(normalize_patches(images, 4), images, 4), images, atol=1e-5, rtol=1e-5)
    flat = torch.full((1, 3, 8, 8), .5)  # the normalisation leaves nothing of it
    torch.testing.assert_close(restore_patches(normalize_patches(flat, 4), flat, 4), flat)


def test_restoring_scales_by_the_standard_deviation_of_the_given_images():
    images = torch.tensor([[[[0., 2.], [4., 2.]]]])  # mean 2, unbiased variance 8 / 3
    restored = restore_patches(torch.ones(1, 1, 2, 2), images, 2, eps=1 / 3)
    torch.testing.assert_close(restored, torch.full((1, 1, 2, 2), 2 + 3**.5))


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match='6x8 cannot be cut into patches of 4x4'):
        restore_patches(torch.zeros(1, 3, 6, 8), torch.zeros(1, 3, 6, 8), 4)
