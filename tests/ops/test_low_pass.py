"""The ideal low-pass filter."""
import math

import numpy as np
import pytest
import torch

from mim_plugins.errors import InputError
from mim_plugins.ops import filter_frequencies, low_pass, radial_frequencies

SIZES = [(8, 8), (9, 9), (8, 12), (7, 10), (10, 7)]


def direct(image: np.ndarray, keep) -> np.ndarray:
    """The same filter by summing waves, as the definition has it; ``keep`` chooses (row, column) frequencies."""
    height, width = image.shape
    rows, columns = np.arange(height), np.arange(width)
    result = np.zeros(image.shape, complex)
    for u in rows - height // 2:
        for v in columns - width // 2:
            if keep(u, v):
                wave = np.exp(2j * np.pi * (u * rows[:, None] / height + v * columns / width))
                result += (image * wave.conj()).mean() * wave
    return result


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('radius', [0, 1, 2.5, 4])
@pytest.mark.parametrize('high_pass', [False, True])
def test_equals_a_direct_transform(size, radius, high_pass):
    images = torch.randn(1, 2, *size)
    filtered = low_pass(images, radius, high_pass=high_pass)
    for image, result in zip(images[0].numpy(), filtered[0].numpy()):
        expected = direct(image, lambda u, v: (math.hypot(u, v) <= radius) != high_pass)
        assert np.abs(expected.imag).max() < 1e-6  # a circle around the mean keeps real images real
        np.testing.assert_allclose(result, expected.real, atol=1e-5)


@pytest.mark.parametrize('size', [(8, 12), (12, 8)])
def test_a_stated_size_makes_circles_of_equal_detail(size):
    image = torch.randn(1, 1, *size)
    expected = direct(image[0, 0].numpy(), lambda u, v: math.hypot(24 * u / size[0], 24 * v / size[1]) <= 7)
    np.testing.assert_allclose(low_pass(image, 7, reference_size=24)[0, 0].numpy(), expected.real, atol=1e-5)
    square = torch.randn(1, 1, 12, 12)
    torch.testing.assert_close(low_pass(square, 6, reference_size=24), low_pass(square, 3))


@pytest.mark.parametrize('size', SIZES)
def test_is_linear_idempotent_and_keeps_the_mean(size):
    first, second = torch.randn(2, 2, 3, *size)
    once = low_pass(first, 2)
    torch.testing.assert_close(low_pass(2 * first - second, 2), 2 * once - low_pass(second, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(low_pass(once, 2), once, atol=1e-6, rtol=0)
    torch.testing.assert_close(once.mean((2, 3)), first.mean((2, 3)), atol=1e-6, rtol=0)
    torch.testing.assert_close(once + low_pass(first, 2, high_pass=True), first, atol=1e-6, rtol=0)
    torch.testing.assert_close(low_pass(first, 0), first.mean((2, 3), keepdim=True).expand_as(first), atol=1e-6, rtol=0)


@pytest.mark.parametrize('size', [*SIZES, (224, 224)])
def test_full_radius_changes_nothing(size):
    images = torch.randn(1, 1, *size)
    torch.testing.assert_close(low_pass(images, math.hypot(*size) / 2), images, atol=1e-5, rtol=0)
    if size == (224, 224):
        torch.testing.assert_close(low_pass(images, 158.4), images, atol=1e-5, rtol=0)


def test_works_on_any_channels_and_gives_float32_under_autocast():
    images = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        filtered = low_pass(images, 2)
    assert filtered.dtype == torch.float32
    torch.testing.assert_close(filtered[:, 3:4], low_pass(images[:, 3:4].float(), 2))


@pytest.mark.parametrize('size', [(9, 9), (7, 11)])
@pytest.mark.parametrize('radius', [0, 1, 2])
def test_the_reference_keeps_the_same_circle_on_odd_sides(size, radius):
    """The middle of the shifted spectrum is a coefficient there, and the circle itself is kept."""
    images = torch.rand(1, 2, *size)
    torch.testing.assert_close(low_pass(images, radius, 'reference'), low_pass(images, radius).abs())


def test_the_reference_folds_negative_values_up():
    images = torch.rand(1, 1, 9, 8)
    reference = low_pass(images, 2, 'reference')
    assert (reference >= 0).all() and not torch.allclose(reference, low_pass(images, 2), atol=1e-3)


@pytest.mark.parametrize('size', SIZES)
def test_distances_are_those_of_the_spectrum(size):
    distances = radial_frequencies(size)
    assert distances.shape == (size[0], size[1] // 2 + 1)
    assert distances[0, 0] == 0 and distances.max() == pytest.approx(math.hypot(size[0] // 2, size[1] // 2))
    image = torch.cos(2 * math.pi * (torch.arange(size[0])[:, None] / size[0] + 2 * torch.arange(size[1]) / size[1]))
    spectrum = torch.fft.rfft2(image).abs()
    assert distances[spectrum > 1e-3].tolist() == pytest.approx([math.sqrt(5)])
    torch.testing.assert_close(filter_frequencies(image, distances / math.sqrt(5)), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize('options, message', [
    (dict(radius=-1), 'must lie between 0 and 5.0, half the diagonal of 6x8, but is -1'),
    (dict(radius=5.1), 'must lie between 0 and 5.0, half the diagonal of 6x8, but is 5.1'),
    (dict(radius=float('nan')), 'but is nan'),
    (dict(radius=180, reference_size=224), 'between 0 and 158.4, half the diagonal of 224x224, but is 180'),
    (dict(radius=1, reference_size=-5), 'stated for must be at least 1 px, but is -5'),
    (dict(radius=None), 'must be a number, but is None'),
    (dict(radius=1, mode='papers'), "must be one of paper, reference, but is 'papers'"),
    (dict(radius=1, mode='reference', high_pass=True), "high-pass filter in mode 'paper' only"),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        low_pass(torch.zeros(1, 1, 6, 8), **options)
