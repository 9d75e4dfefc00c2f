"""Frequencies of reconstructions and of low-passed pictures."""
import math

import numpy as np
import pytest
import torch
from PIL import Image

from mim_plugins.analysis import runs
from mim_plugins.analysis.frequency import band_course, band_edges, band_figure, band_psnr, low_pass_figure
from mim_plugins.errors import InputError
from mim_plugins.ops import low_pass
from mim_plugins.registry import MODELS


def wave(size: tuple[int, int], rows: int, columns: int) -> torch.Tensor:
    """A picture [1, 1, H, W] with one frequency, of amplitude 1."""
    y, x = torch.meshgrid(*map(torch.arange, size), indexing='ij')
    return torch.cos(2 * math.pi * (rows * y / size[0] + columns * x / size[1]))[None, None]


@pytest.mark.parametrize('size', [(16, 16), (15, 24)])
def test_an_error_of_one_frequency_is_in_its_band_alone(size):
    image = torch.rand(1, 1, *size)
    found = band_psnr(image, image + .1 * wave(size, 3, 4), [0, 2, 4, 6, 8])  # radius 5
    assert np.isinf(found[0, [0, 1, 3]]).all()
    assert found[0, 2] == pytest.approx(-10 * math.log10(.005), abs=1e-3)  # half the squared amplitude


def test_an_edge_belongs_to_the_band_above_and_the_last_one_to_the_last():
    image, error = torch.zeros(1, 1, 16, 16), .1 * wave((16, 16), 3, 4)
    assert np.isfinite(band_psnr(image, error, [0, 5, 8])[0]).tolist() == [False, True]
    assert np.isfinite(band_psnr(image, error, [0, 4, 5])[0]).tolist() == [False, True]


@pytest.mark.parametrize('size', [(16, 16), (15, 24)])
def test_errors_of_all_bands_add_up(size):
    images, reconstructions = torch.rand(2, 3, 3, *size)
    found = band_psnr(images, reconstructions, band_edges(size, 5))
    assert found.shape == (3, 5)
    whole = (images - reconstructions).square().mean((1, 2, 3))
    np.testing.assert_allclose((10**(-found / 10)).sum(1), whole, rtol=1e-5)


def test_one_band_is_the_plain_psnr():
    images = torch.rand(1, 3, 16, 16)
    low = low_pass(images, 3)
    plain = -10 * math.log10((images - low).square().mean())
    assert band_psnr(images, low, band_edges((16, 16), 1))[0, 0] == pytest.approx(plain, rel=1e-5)
    bands = band_psnr(images, low, [0, 3.01, 8])[0]
    assert bands[0] > 120 and bands[1] < 30  # rounding of float32 alone below the radius


@pytest.mark.parametrize('edges', [[0], [0, 5, 5], [5, 3], [-1, 5], [0, 12]])
def test_bad_edges_are_refused(edges):
    with pytest.raises(InputError, match='must rise from at least 0 to at most 11.3, half the diagonal of 16x16, but'):
        band_psnr(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), edges)


def test_bad_shapes_and_numbers_are_refused():
    with pytest.raises(InputError, match=r'one shape \[B, C, H, W\], but have \[1, 1, 4, 4\] and \[1, 1, 4, 5\]'):
        band_psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5), [0, 1])
    with pytest.raises(InputError, match='at least one frequency band is needed, but 0 were asked for'):
        band_edges((4, 4), 0)


@pytest.fixture
def paths(tmp_path) -> list:
    noise = np.random.default_rng(0)
    for index in range(5):
        Image.fromarray(noise.integers(256, size=(40, 50, 3), dtype=np.uint8)).save(tmp_path / f'{index}.png')
    return runs.image_paths([tmp_path])


class TestCourse:

    def test_of_a_model_that_sees_the_low_frequencies(self, small_config, paths):
        model = MODELS.build({**small_config, 'target_generator': dict(type='mim_plugins.LowPassTarget', radius=6)})
        model.predict = lambda images, mask: model.target_generator(images)
        edges, found = band_course(model, paths, [0, 3, 6, 12, 22])
        assert edges == [0, 3, 6, 12, 22] and found.shape == (5, 4)
        assert found[:, 0].min() > found[:, 3].max() + 5
        assert (band_course(model, paths, [0, 3, 6, 12, 22])[1] == found).all()

    def test_of_an_untrained_model_in_batches(self, small_config, paths, monkeypatch):
        monkeypatch.setattr('mim_plugins.analysis.frequency._BATCH', 2)
        model = MODELS.build({**small_config, 'target_generator': dict(type='mim_plugins.PixelTarget', norm_patch=8)})
        edges, found = band_course(model, paths, 4)
        assert found.shape == (5, 4) and edges[-1] == pytest.approx(math.hypot(32, 32) / 2)
        axis, = band_figure({'run': (edges, found)}).axes
        np.testing.assert_allclose(axes_line(axis), found.mean(0))

    def test_needs_colours(self, small_model, paths):
        with pytest.raises(InputError, match='PSNR needs a target with colours, which HOGTarget has not'):
            band_course(small_model, paths, 4)


def axes_line(axis) -> np.ndarray:
    return axis.lines[0].get_ydata()


def test_figures_leave_out_images_without_an_error():
    axis, = band_figure({'run': ([0, 1, 2], np.array([[10, np.inf], [20, np.inf]]))}).axes
    assert axes_line(axis)[0] == 15 and np.isnan(axes_line(axis)[1])


@pytest.mark.parametrize('high_pass', [False, True])
def test_low_passed_pictures_beside_their_inputs(high_pass):
    images = torch.rand(2, 3, 16, 24)
    figure = low_pass_figure(images, [2, 5], high_pass=high_pass)
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == 6 and figure.axes[1].get_title() == 'radius 2'
    expected = (low_pass(images, 2, high_pass=high_pass) + high_pass / 2).clamp(0, 1)
    np.testing.assert_allclose(shown[1], expected[0].permute(1, 2, 0), atol=1e-6)
    np.testing.assert_allclose(shown[3], images[1].permute(1, 2, 0))
    with pytest.raises(InputError, match='between 0 and 14.4, half the diagonal of 16x24, but is 20'):
        low_pass_figure(images, [20])
