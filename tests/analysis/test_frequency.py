"""Frequencies of reconstructions and of low-passed pictures."""
import csv
import json
import math
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from PIL import Image

from mim_plugins.analysis import band_psnr, runs
from mim_plugins.analysis.frequency import (
    band_course,
    band_edges,
    band_figure,
    low_pass_figure,
    mean_and_deviation,
)
from mim_plugins.errors import InputError
from mim_plugins.ops import low_pass
from mim_plugins.registry import MODELS

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis'
PIXELS = dict(type='mim_plugins.PixelTarget', norm_patch=8)
LOW_PASS = dict(type='mim_plugins.LowPassTarget', radius=6)


def values_of(axis: Axes) -> np.ndarray:
    line, = axis.lines
    return line.get_ydata()


def pictures_of(figure: Figure) -> list[np.ndarray]:
    return [axis.images[0].get_array() for axis in figure.axes]


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


def test_integers_and_low_precision_are_compared_as_numbers():
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert band_psnr(images, images + 1, [0, 1])[0, 0] == band_psnr(images + 1, images, [0, 1])[0, 0] == 0
    halves = torch.full((1, 1, 8, 8), .5, dtype=torch.bfloat16)
    assert band_psnr(halves, halves + .25, [0, 1])[0, 0] == pytest.approx(-20 * math.log10(.25))


@pytest.mark.parametrize('channels', [1, 4, 8])
def test_any_number_of_channels(channels):
    images = torch.rand(2, channels, 8, 12)
    others = images.clone()
    others[:, -1] = 0
    found = band_psnr(images, others, band_edges((8, 12), 1))
    np.testing.assert_allclose(10**(-found[:, 0] / 10), images[:, -1].square().mean((1, 2)) / channels, rtol=1e-5)


@pytest.mark.parametrize('edges', [[0], [0, 5, 5], [5, 3], [-1, 5], [0, 12], [0, math.nan, 5], [0, math.nan]])
def test_bad_edges_are_refused(edges):
    with pytest.raises(InputError, match='must rise from at least 0 to at most 11.3, half the diagonal of 16x16, but'):
        band_psnr(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), edges)


def test_bad_shapes_and_numbers_are_refused():
    with pytest.raises(InputError, match=r'one shape \[B, C, H, W\], but have \[1, 1, 4, 4\] and \[1, 1, 4, 5\]'):
        band_psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5), [0, 1])
    with pytest.raises(InputError, match='at least one frequency band is needed, but 0 were asked for'):
        band_edges((4, 4), 0)


class TestCourse:

    def test_of_a_model_that_sees_the_low_frequencies(self, small_config, paths):
        model = MODELS.build({**small_config, 'target_generator': LOW_PASS})
        model.predict = lambda images, mask: model.target_generator(images)
        edges, found = band_course(model, paths, [0, 3, 6, 12, 22])
        assert edges == [0, 3, 6, 12, 22] and found.shape == (5, 4)
        assert found[:, 0].min() > found[:, 3].max() + 5
        assert (band_course(model, paths, [0, 3, 6, 12, 22])[1] == found).all()
        assert (band_course(model, paths, [0, 3, 6, 12, 22], seed=1)[1] != found).any()

    def test_a_perfect_prediction_has_no_error(self, small_config, paths):
        model = MODELS.build({**small_config, 'target_generator': PIXELS})
        model.predict = lambda images, mask: model.target_generator(images)
        assert band_course(model, paths, 3)[1].min() > 100

    def test_of_an_untrained_model_in_batches(self, small_config, paths, monkeypatch):
        monkeypatch.setattr('mim_plugins.analysis.frequency._BATCH', 2)
        model = MODELS.build({**small_config, 'target_generator': PIXELS})
        edges, found = band_course(model, paths, 4)
        assert found.shape == (5, 4) and edges[-1] == pytest.approx(math.hypot(32, 32) / 2)
        axis, = band_figure({'run': (edges, found)}).axes
        np.testing.assert_allclose(values_of(axis), found.mean(0))
        spread = axis.collections[0].get_paths()[0].get_extents()
        assert spread.ymax == pytest.approx((found.mean(0) + found.std(0)).max())

    def test_needs_colours(self, small_model, paths):
        with pytest.raises(InputError, match='PSNR needs a target with colours, which HOGTarget has not'):
            band_course(small_model, paths, 4)


def test_means_leave_out_images_without_an_error_and_no_others():
    assert mean_and_deviation(np.array([10, np.inf, 20])) == (15, 5)
    assert mean_and_deviation(np.array([np.inf, np.inf])) == (np.inf, 0)
    assert np.isnan(mean_and_deviation(np.array([10, np.nan]))[0])
    axis, = band_figure({'run': ([0, 1, 2], np.array([[10, np.inf], [20, np.inf]]))}).axes
    assert values_of(axis).tolist() == [15, np.inf] and axis.get_ylim()[1] < 25


@pytest.mark.parametrize('high_pass', [False, True])
def test_low_passed_pictures_beside_their_inputs(high_pass):
    images = torch.rand(2, 3, 16, 24)
    figure = low_pass_figure(images, [2, 5], high_pass=high_pass)
    shown = pictures_of(figure)
    assert len(shown) == 6 and figure.axes[1].get_title() == 'radius 2'
    expected = (low_pass(images, 2, high_pass=high_pass) + high_pass / 2).clamp(0, 1)
    np.testing.assert_allclose(shown[1], expected[0].permute(1, 2, 0), atol=1e-6)
    np.testing.assert_allclose(shown[3], images[1].permute(1, 2, 0))
    with pytest.raises(InputError, match='between 0 and 14.4, half the diagonal of 16x24, but is 20'):
        low_pass_figure(images, [20])


@pytest.mark.parametrize('channels', [1, 4, 8])
def test_low_passed_pictures_of_other_channels(channels):
    images = torch.rand(1, channels, 8, 8)
    shown = pictures_of(low_pass_figure(images, [3]))[0]
    first = images[0, :3] if channels > 3 else images[0].expand(3, -1, -1)
    np.testing.assert_array_equal(shown, first.permute(1, 2, 0))


class TestTools:

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        def call(name: str, *options: object) -> Path:
            monkeypatch.setattr(sys, 'argv', [name, *map(str, options), '--out', str(tmp_path / 'new' / 'out')])
            runpy.run_path(str(TOOLS / name), run_name='__main__')
            return tmp_path / 'new' / 'out'
        return call

    @pytest.fixture
    def checkpoint(self, small_config, tmp_path):
        def save(name: str, target: dict) -> Path:
            config = {**small_config, 'target_generator': target}
            cfg = Config(dict(model=config, default_scope='mmpretrain'))
            state = MODELS.build(config).state_dict()
            torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)), tmp_path / name)
            return tmp_path / name
        return save

    def test_bands_of_two_checkpoints(self, run, checkpoint, paths, capsys):
        checkpoints = [checkpoint('pixels.pth', PIXELS), checkpoint('low.pth', LOW_PASS)]
        out = run('band_psnr.py', *checkpoints, '--images', *paths, '--edges', 0, 6, 20, '--number', 3, '--seed', 4)
        stored = json.loads((out / 'band_psnr.json').read_text())
        with (out / 'band_psnr.csv').open() as file:
            rows = list(csv.DictReader(file))
        said = capsys.readouterr().out.splitlines()
        assert len(said) == len(rows) == 4 and list(stored) == [str(path) for path in checkpoints]
        for index, path in enumerate(checkpoints):
            model, cfg = runs.load_run(path)
            edges, found = band_course(model, runs.spread(paths, 3), [0, 6, 20], cfg, seed=4)
            assert stored[str(path)]['edges'] == edges
            np.testing.assert_allclose(stored[str(path)]['psnr'], found)
            own = rows[2 * index:2 * index + 2]
            assert [(row['checkpoint'], row['from'], row['to']) for row in own] == [
                (str(path), '0.0', '6.0'), (str(path), '6.0', '20.0')]
            np.testing.assert_allclose([float(row['psnr']) for row in own], found.mean(0))
            np.testing.assert_allclose([float(row['deviation']) for row in own], found.std(0))
            assert said[2 * index].startswith(f'{path}     0.0 to    6.0: {found[:, 0].mean():6.2f} +- ')
        assert plt.imread(out / 'band_psnr.png').std() > 0

    def test_bands_that_cannot_be_end_with_a_sentence(self, run, checkpoint, paths):
        pixels = checkpoint('pixels.pth', PIXELS)
        with pytest.raises(SystemExit, match='error: the edges of frequency bands must rise from at least 0'):
            run('band_psnr.py', pixels, '--images', *paths, '--edges', 3, 2)
        with pytest.raises(SystemExit, match='error: at least one frequency band is needed, but 0 were asked for'):
            run('band_psnr.py', pixels, '--images', *paths, '--bands', 0)
        with pytest.raises(SystemExit, match='error: PSNR needs a target with colours, which HOGTarget has not'):
            run('band_psnr.py', checkpoint('hog.pth', dict(type='mim_plugins.HOGTarget', cell=4)), '--images', *paths)

    def test_low_pass_draws_pictures_in_their_colours(self, run, tmp_path, monkeypatch, capsys):
        Image.new('RGB', (12, 10), (255, 0, 0)).save(tmp_path / 'red.png')
        figures = []
        monkeypatch.setattr('mim_plugins.analysis.pictures.save', lambda figure, path: figures.append((figure, path)))
        out = run('low_pass.py', tmp_path / 'red.png', '--size', 16, 24, '--radii', 0, 4, '--reference-size', 32)
        (figure, path), = figures
        assert path == out / 'low_pass.png'
        assert [axis.get_title() for axis in figure.axes] == ['input', 'radius 0', 'radius 4']
        for shown in pictures_of(figure):
            np.testing.assert_allclose(shown, np.tile([1., 0., 0.], (16, 24, 1)), atol=1e-6)
        assert capsys.readouterr().out == f'wrote {out}/low_pass.png for 1 images of 16x24\n'

    @pytest.mark.parametrize('options', [('--high-pass', ), ('--mode', 'reference')])
    def test_low_pass_writes_a_picture(self, run, paths, options):
        out = run('low_pass.py', paths[0].parent, '--size', 16, '--radii', 3, *options)
        assert plt.imread(out / 'low_pass.png').std() > 0

    def test_bad_radii_and_sizes_end_with_a_sentence(self, run, paths, capsys):
        with pytest.raises(SystemExit, match='must lie between 0 and 11.3, half the diagonal of 16x16, but is 99'):
            run('low_pass.py', *paths, '--size', 16, '--radii', 99)
        with pytest.raises(SystemExit, match="in mode 'paper' only, but the mode is 'reference'"):
            run('low_pass.py', *paths, '--size', 16, '--radii', 3, '--mode', 'reference', '--high-pass')
        with pytest.raises(SystemExit):
            run('low_pass.py', *paths, '--size', 1, 2, 3)
        assert '--size wants one or two numbers of pixels, but got [1, 2, 3]' in capsys.readouterr().err


def test_bands_without_a_frequency_are_refused():
    images = torch.zeros(1, 1, 8, 8)
    with pytest.raises(InputError, match='images of 8x8 have no frequency from 0.10 to 0.20: take fewer or wider'):
        band_psnr(images, images, [0, .1, .2, 1])
