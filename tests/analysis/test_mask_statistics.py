import csv
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from mim_plugins.analysis.mask_statistics import avg_dist, avg_dist_course, avg_dist_figure
from mim_plugins.errors import InputError

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis' / 'mask_distance.py'
RANDOM = dict(type='mim_plugins.RandomMasks', unit=4)


def brute_force(mask: np.ndarray) -> float:
    """Every masked pixel against every visible one."""
    masked, visible = np.argwhere(mask), np.argwhere(~mask)
    return np.linalg.norm(masked[:, None] - visible[None], axis=-1).min(1).mean()


class TestAvgDist:

    @pytest.mark.parametrize('shape', [(1, 6), (5, 7), (8, 8)])
    @pytest.mark.parametrize('share', [.3, .9])
    def test_equals_every_masked_against_every_visible_pixel(self, shape, share):
        masks = np.random.default_rng(0).random((4, *shape)) < share
        masks[:, 0, :2] = True, False
        np.testing.assert_allclose(avg_dist(masks), [brute_force(mask) for mask in masks], rtol=1e-12)
        np.testing.assert_array_equal(avg_dist(torch.from_numpy(masks)), avg_dist(masks))

    def test_known_values(self):
        masks = np.zeros((3, 5, 5), dtype=bool)
        masks[1, 2, 2] = True
        masks[2, 1:4, 1:4] = True  # eight pixels at 1, the middle at 2
        np.testing.assert_allclose(avg_dist(masks), [0, 1, 10 / 9])

    def test_a_mask_without_a_visible_pixel_is_refused(self):
        with pytest.raises(InputError, match='number 1 masks all'):
            avg_dist(np.array([[[True, False]], [[True, True]]]))

    @pytest.mark.parametrize('masks, message', [
        (torch.zeros(4, 4).bool(), r'\[B, H, W\], but got bool \[4, 4\]'),
        (torch.zeros(1, 4, 4), r'bool masks .* got float32 \[1, 4, 4\]'),
    ])
    def test_other_shapes_and_types_are_refused(self, masks, message):
        with pytest.raises(InputError, match=message):
            avg_dist(masks)


class TestCourse:

    def test_grows_with_ratio_and_unit_and_repeats(self):
        strategies = {'4': RANDOM, '8': {**RANDOM, 'unit': 8}}
        course = avg_dist_course(strategies, (.25, .5, .75), (32, 48), samples=8)
        assert set(course) == {'4', '8'}
        for distances in course.values():
            assert 1 < distances[0] < distances[1] < distances[2]
        assert all(small < large for small, large in zip(course['4'], course['8'], strict=True))
        assert course == avg_dist_course(strategies, (.25, .5, .75), (32, 48), samples=8)
        assert course != avg_dist_course(strategies, (.25, .5, .75), (32, 48), samples=8, seed=1)

    def test_blocks_are_farther_from_visible_pixels_than_random_units(self):
        strategies = {'random': RANDOM, 'block': dict(type='mim_plugins.BlockMasks', unit=4)}
        course = avg_dist_course(strategies, (.3, .6, .8), (48, 64), samples=8)
        assert all(block > 1.5 * random for random, block in zip(*course.values(), strict=True))

    def test_pixels_are_those_of_the_image(self):
        square = dict(type='mim_plugins.SquareMasks', unit=1)
        mask = np.zeros((8, 8), dtype=bool)
        mask[2:6, 2:6] = True
        assert avg_dist_course({'square': square}, [.25], (8, 8), samples=1)['square'] == [brute_force(mask)]

    def test_the_config_stays_as_it_was(self):
        config = dict(RANDOM)
        avg_dist_course({'random': config}, [.5], (8, 8), samples=1)
        assert config == RANDOM

    def test_the_figure_shows_the_course(self):
        figure = avg_dist_figure({'a': [1., 2.], 'b': [3., 4.]}, [.2, .4])
        lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines}
        assert lines == {'a': ([.2, .4], [1., 2.]), 'b': ([.2, .4], [3., 4.])}
        plt.close(figure)


class TestTool:

    def run(self, monkeypatch, *options) -> None:
        monkeypatch.setattr(sys, 'argv', ['mask_distance.py', *map(str, options)])
        runpy.run_path(str(TOOL), run_name='__main__')

    def test_writes_a_picture_and_a_table(self, monkeypatch, tmp_path):
        out = tmp_path / 'new' / 'folder'
        self.run(monkeypatch, '--out', out, '--size', 32, 64, '--units', 4, 8, '--block-unit', 4,
                 '--ratios', .5, .75, '--samples', 2)
        with (out / 'avg_dist.csv').open() as file:
            rows = list(csv.DictReader(file))
        assert [row.pop('ratio') for row in rows] == ['0.5', '0.75']
        assert list(rows[0]) == ['random 4', 'random 8', 'block 4', 'square 4']
        expected = avg_dist_course({'random 8': {**RANDOM, 'unit': 8}}, (.5, .75), (32, 64), samples=2)
        assert [float(row['random 8']) for row in rows] == pytest.approx(expected['random 8'], abs=1e-4)
        assert plt.imread(out / 'avg_dist.png').std() > 0

    def test_a_unit_that_does_not_fit_ends_with_a_sentence(self, monkeypatch, tmp_path):
        with pytest.raises(SystemExit, match='error: images of 36x36 cannot be divided into mask units of 8 px'):
            self.run(monkeypatch, '--out', tmp_path, '--size', 36, '--units', 8)

    def test_three_sides_are_refused(self, monkeypatch, tmp_path, capsys):
        with pytest.raises(SystemExit):
            self.run(monkeypatch, '--out', tmp_path, '--size', 1, 2, 3)
        assert '--size wants one or two numbers, but got 3' in capsys.readouterr().err
