import numpy as np
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import hog


def slow_hog(image: np.ndarray, bins: int, cell: int) -> np.ndarray:
    """One channel [H, W] pixel by pixel in float64, without normalisation."""
    height, width = image.shape
    padded = np.pad(image.astype(np.float64), 1, mode='reflect')
    result = np.zeros((bins, height // cell, width // cell))
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    for y in range(height):
        for x in range(width):
            window = padded[y:y + 3, x:x + 3]
            gx, gy = (window * kernel).sum(), (window * kernel.T).sum()
            index = int(np.floor(np.arctan2(gx, gy) / np.pi * bins)) % bins
            result[index, y // cell, x // cell] += np.hypot(gx, gy)
    return result


@pytest.mark.parametrize('shape, bins, cell', [((16, 16), 9, 8), ((12, 20), 6, 4)])
def test_equals_slow_version_on_squares_and_rectangles(shape, bins, cell):
    images = torch.randn(1, 2, *shape)
    expected = np.concatenate([slow_hog(channel, bins, cell) for channel in images[0].numpy()])
    actual = hog(images, bins, cell, normalize=False)
    assert actual.shape == (1, 2 * bins, shape[0] // cell, shape[1] // cell)
    np.testing.assert_allclose(actual[0].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('value', [0., 0.1, 1 / 3, 127.5, -2.117904])
def test_constant_image_gives_exactly_zero(value):
    images = torch.full((1, 3, 24, 16), value)
    assert torch.equal(hog(images), torch.zeros(1, 27, 3, 2))


def test_every_8_bit_grey_gives_exactly_zero_after_normalisation():
    greys = (torch.arange(256.).view(256, 1, 1, 1).expand(256, 3, 8, 8) - 123.675) / 58.395
    assert not hog(greys).any()


def test_normalised_cells_have_norm_0_or_1():
    images = torch.randn(2, 3, 32, 32)
    images[0, :, :20, :20] = 0.7
    norms = hog(images).view(2, 3, 9, 4, 4).norm(dim=2)
    assert torch.all((norms == 0) | ((norms - 1).abs() < 1e-5))
    assert (norms == 0).any() and (norms > 0).any()


@pytest.mark.parametrize('vertical, expected', [(True, 4), (False, 0)])
def test_edges_vote_for_their_bin(vertical, expected):
    images = torch.zeros(1, 1, 16, 16)
    images[..., 4:12] = 1.
    images = images if vertical else images.transpose(2, 3)
    assert set(hog(images).nonzero()[:, 1].tolist()) == {expected}


def test_invariant_to_offset_and_scale_per_channel():
    images = torch.randn(2, 3, 32, 32)
    changed = images * torch.tensor([0.5, 2., 3.]).view(3, 1, 1) + torch.tensor([1., -2., 0.]).view(3, 1, 1)
    difference = (hog(changed) - hog(images)).abs()
    assert (difference > 1e-4).float().mean() < 1e-2  # a vote on a bin border may change sides


def test_shift_by_a_cell_shifts_interior_cells():
    images = torch.randn(1, 3, 48, 48)
    shifted = images.roll((8, 8), (2, 3))
    torch.testing.assert_close(hog(shifted)[..., 2:-1, 2:-1], hog(images)[..., 1:-2, 1:-2])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype):
    images = torch.randn(1, 3, 16, 16)
    with torch.autocast('cpu', dtype=dtype):
        inside = hog(images)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, hog(images))


def test_large_batches_are_worked_on_in_pieces(monkeypatch):
    images = torch.randn(3, 3, 16, 16)
    whole = hog(images)
    monkeypatch.setitem(hog.__globals__, '_CPU_PIECE', 16 * 16 * 2)
    assert torch.equal(hog(images), whole)


def test_refuses_sides_that_the_cell_does_not_divide():
    with pytest.raises(InputError, match='cell of 8 px, but the images are 20x16'):
        hog(torch.zeros(1, 3, 20, 16))


@pytest.mark.gpu
def test_gpu_equals_cpu():
    images = torch.randn(2, 3, 64, 32)
    difference = (hog(images.cuda()).cpu() - hog(images)).abs()
    assert (difference > 1e-4).float().mean() < 1e-3
