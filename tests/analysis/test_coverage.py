"""Object coverage: areas, boxes found through ramps, and the average over pictures."""
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
import mmpretrain.datasets as theirs
import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop, Pad, RandomFlip
from PIL import Image

from mim_plugins.analysis import object_coverage
from mim_plugins.analysis.coverage import (
    ObjectCoverage,
    coverage_figure,
    covered,
    crop_box,
    geometric,
    mean_and_error,
)
from mim_plugins.datasets import BackgroundFocusedCrop, RandomResizedCrop, SimpleResizedCrop
from mim_plugins.datasets.object_masks import ObjectMasks
from mim_plugins.errors import InputError

from ..runs import ROOT, run_tool

TOOL = ROOT / 'tools' / 'analysis' / 'object_coverage.py'
FLIP = dict(type='RandomFlip', prob=1.)


def ellipse(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return ((y - .4 * height) / height)**2 + ((x - .6 * width) / width)**2 < .06


def counted(mask: np.ndarray, box: tuple, visible: np.ndarray, fine: int = 1) -> float:
    """Points on a grid of ``fine`` points a pixel, each looked up in its pixel and its cell."""
    y, x = ((np.arange(side * fine) + .5) / fine for side in mask.shape)
    down = np.floor((y - box[0]) / (box[2] - box[0]) * visible.shape[0]).astype(int)
    across = np.floor((x - box[1]) / (box[3] - box[1]) * visible.shape[1]).astype(int)
    inside = np.ix_((down >= 0) & (down < visible.shape[0]), (across >= 0) & (across < visible.shape[1]))
    seen = np.zeros((len(y), len(x)), dtype=bool)
    seen[inside] = visible[np.ix_(down[inside[0].ravel()], across[inside[1].ravel()])]
    points = mask.repeat(fine, axis=0).repeat(fine, axis=1)
    return (points & seen).sum() / points.sum()


class TestCovered:

    def test_equals_a_count_of_pixels(self):
        random = np.random.default_rng(0)
        for _ in range(50):
            mask = random.random((13, 17)) < .4
            cells, sides = random.integers(1, 5, size=2), random.integers(1, 4, size=2)
            top, left = random.integers(-3, 10, size=2)
            box = (top, left, top + cells[0] * sides[0], left + cells[1] * sides[1])
            visible = random.random(tuple(cells)) < .6
            assert covered(mask, box) == pytest.approx(counted(mask, box, np.ones((1, 1), dtype=bool)), abs=1e-12)
            assert covered(mask, box, visible) == pytest.approx(counted(mask, box, visible), abs=1e-12)

    def test_fractions_of_pixels_equal_a_finer_count(self):
        random = np.random.default_rng(0)
        for _ in range(10):
            mask, visible = random.random((6, 8)) < .5, random.random((2, 3)) < .6
            edges = random.uniform(-1, 3, size=2), random.uniform(4, 9, size=2)
            box = tuple(np.concatenate(edges))
            assert covered(mask, box, visible) == pytest.approx(counted(mask, box, visible, fine=64), abs=.01)

    def test_known_values(self):
        mask = np.zeros((4, 6), dtype=bool)
        mask[1:3, 2:4] = True
        assert covered(mask, (1, 2, 3, 4)) == covered(mask, (-5, -5, 9, 9)) == 1
        assert covered(mask, (1.5, 2.25, 3, 4)) == .75 * .875
        assert covered(mask, (3, 4, 4, 6)) == covered(mask, (-9, -9, -1, -1)) == 0

    def test_a_flipped_box_mirrors_the_cells(self):
        mask, visible = ellipse(12, 15), np.array([[True, False, False], [True, True, False]])
        shares = [covered(mask, box, cells) for box, cells in (
            ((1, 2, 9, 13), visible), ((1, 13, 9, 2), visible[:, ::-1]), ((9, 2, 1, 13), visible[::-1]))]
        assert shares == pytest.approx(shares[:1] * 3, abs=1e-12)
        assert covered(mask, (1, 13, 9, 2), visible) != pytest.approx(shares[0])

    @pytest.mark.parametrize('mask, box, visible, message', [
        (np.ones((2, 2)), (0, 0, 1, 1), None, r'an object mask must be bool .* but is float64 \[2, 2\]'),
        (np.ones(2, bool), (0, 0, 1, 1), None, r'an object mask must be bool of shape \[H, W\], but is bool \[2\]'),
        (np.ones((2, 2), bool), (0, 0, 1, 1), np.ones((1, 2, 2), bool), r'a grid of visible cells .* bool \[1, 2, 2\]'),
        (np.zeros((2, 2), bool), (0, 0, 1, 1), None, 'coverage needs an object, but the mask is empty'),
        (np.ones((2, 2), bool), (0, 1, 1, 1), None, r'must have an area, but is \(0, 1, 1, 1\)'),
        (np.ones((2, 2), bool), (0, 0, 1, np.nan), None, 'must have an area'),
    ])
    def test_refuses(self, mask, box, visible, message):
        with pytest.raises(InputError, match=message):
            covered(mask, box, visible)


class Silent:
    """Another transform, that keeps its box to itself."""

    def __init__(self, transform) -> None:
        self.transform = transform

    def __call__(self, results: dict) -> dict:
        results = dict(self.transform(results))
        self.box = results.pop('crop_box')
        return results


class TestCropBox:

    @pytest.mark.parametrize('size', [(40, 30), (150, 200)])
    @pytest.mark.parametrize('backend', ['cv2', 'pillow'])
    @pytest.mark.parametrize('flip, order', [([], [0, 1, 2, 3]), (['horizontal'], [0, 3, 2, 1]),
                                             (['horizontal', 'vertical'], [2, 3, 0, 1])])
    def test_mmpretrains_crops(self, size, backend, flip, order):
        options = dict(crop_ratio_range=(.2, 1.), backend=backend, interpolation='bicubic')
        crop = theirs.RandomResizedCrop((64, 96), **options)
        for seed in range(4):
            np.random.seed(seed)
            box, after = crop_box([crop, *(RandomFlip(1., direction) for direction in flip)], size)
            np.random.seed(seed)
            top, left, height, width = crop.rand_crop_params(np.empty((*size, 3)))
            expected = np.array([top, left, top + height, left + width])[order]
            np.testing.assert_allclose(box, expected, rtol=0, atol=.1)
            assert after == (64, 96)

    @pytest.mark.parametrize('transform', [
        RandomResizedCrop(48), SimpleResizedCrop((48, 64)), SimpleResizedCrop(64, padding=8, backend='cv2')])
    def test_mirrored_borders_do_not_spoil_it(self, transform):
        for seed in range(4):
            np.random.seed(seed)
            silent = Silent(transform)
            np.testing.assert_allclose(crop_box([silent], (90, 70))[0], silent.box, rtol=0, atol=.1)

    @pytest.mark.parametrize('transforms, size, expected', [
        ([], (30, 40), (0, 0, 30, 40)),
        ([RandomFlip(1., 'vertical')], (30, 40), (30, 0, 0, 40)),
        ([CenterCrop((20, 30))], (30, 40), (0, 10, 30, 30)),
        ([CenterCrop((20, 10)), RandomFlip(1.)], (30, 40), (10, 30, 20, 10)),
        ([Pad(size=(50, 60))], (30, 40), (0, 0, 60, 50)),
        ([theirs.RandomCrop((30, 40), padding=(6, 5), pad_if_needed=True), CenterCrop(20)], (20, 28), None),
    ])
    def test_exact_where_nothing_is_resized(self, transforms, size, expected):
        np.random.seed(0)
        box = crop_box(transforms, size)[0]
        assert box == expected or expected is None and all(edge == round(edge) for edge in box)

    def test_boxes_that_are_told_are_taken_as_they_are(self):
        told = (1.25, -2.5, 31.75, 20.)
        box, size = crop_box([lambda results: {**results, 'img': results['img'][:8, :10], 'crop_box': told},
                              CenterCrop((5, 4)), RandomFlip(1.)], (40, 30))
        scale = (told[2] - told[0]) / 8, (told[3] - told[1]) / 10
        expected = (1.25 + 2 * scale[0], -2.5 + 7 * scale[1], 1.25 + 6 * scale[0], -2.5 + 2 * scale[1])
        assert box == pytest.approx(expected) and size == (4, 5)

    def test_a_chain_of_resizes_and_crops(self):
        box, size = crop_box([theirs.ResizeEdge(60), CenterCrop(30)], (40, 60))  # 60x90, then its middle
        np.testing.assert_allclose(box, (10, 20, 30, 40), rtol=0, atol=.1)
        assert size == (30, 30)

    @pytest.mark.parametrize('transform, message', [
        (theirs.ColorJitter(.5), 'ColorJitter must be a crop, a resize or a flip, but changes colours'),
        (theirs.ColorJitter(contrast=.9), 'ColorJitter .* changes colours'),
        (theirs.ColorJitter(saturation=.9), 'ColorJitter .* changes colours'),
        (theirs.Rotate(angle=90., prob=1.), 'Rotate must be a crop, .* but moves pixels in another way'),
        (theirs.Rotate(angle=10., prob=1.), 'Rotate must be a crop, .* but moves pixels in another way'),
        (theirs.PackInputs(), 'PackInputs must leave a picture of three channels and at least 2x2 px'),
        (lambda results: None, 'function must leave a picture'),
        (lambda results: {'img': results['img'][:1]}, 'function must leave a picture'),
    ])
    def test_refuses(self, transform, message):
        np.random.seed(0)
        with pytest.raises(InputError, match=message):
            crop_box([transform], (60, 50))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures, the second without an object."""
    paths = []
    (tmp_path / 'masks').mkdir()
    for number, size in enumerate([(40, 30), (32, 32), (36, 60)]):
        paths.append(tmp_path / f'{number}.png')
        Image.fromarray(np.full((*size, 3), 90, dtype=np.uint8)).save(paths[-1])
        Image.fromarray(ellipse(*size) & (number != 1)).save(tmp_path / 'masks' / f'{number}.png')
    return paths


@pytest.fixture
def masks(pictures: list[Path]) -> ObjectMasks:
    return ObjectMasks(pictures[0].parent / 'masks')


class TestObjectCoverage:

    def test_mean_of_the_draws_of_each_picture(self, pictures, masks):
        boxes = []

        class Recorded(RandomResizedCrop):

            def transform(self, results: dict) -> dict:
                results = super().transform(results)
                boxes.append(results['crop_box'])
                return results

        found = object_coverage([Recorded(32)], pictures, masks, repeats=3)
        expected = [np.mean([covered(ellipse(*size), box) for box in boxes[start:start + 3]])
                    for start, size in ((0, (40, 30)), (3, (36, 60)))]
        assert found.whole == pytest.approx(expected) and len(set(boxes)) == len(boxes) == 6
        assert found.paths == [str(pictures[0]), str(pictures[2])]
        assert found.skipped == 1 and found.masked is None

    def test_masked_cells_do_not_count(self, pictures, masks):
        hidden = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]])
        strategy = dict(type='mim_plugins.FixedMasks', masks=hidden.tolist(), unit=16)
        resize = dict(type='mim_plugins.ResizeOnly', scale=(32, 64))
        for pipeline, grid in (([resize], hidden), ([resize, FLIP], hidden.flip(1))):
            found = object_coverage(pipeline, pictures, masks, strategy)
            expected = [covered(ellipse(*size), (0, 0, *size), grid.numpy() == 0) for size in ((40, 30), (36, 60))]
            assert found.masked == pytest.approx(expected) and found.whole == pytest.approx([1, 1])

    def test_runs_repeat_and_seeds_differ(self, pictures, masks):
        def run(repeats: int, seed: int) -> np.ndarray:
            strategy = dict(type='mim_plugins.RandomMasks', unit=8, ratio=.5)
            pipeline = [dict(type='RandomResizedCrop', scale=32)]
            found = object_coverage(pipeline, pictures, masks, strategy, repeats, seed)
            return np.stack([found.whole, found.masked])

        first, state = run(2, 1), torch.get_rng_state()
        assert np.array_equal(first, run(2, 1)) and torch.equal(state, torch.get_rng_state())
        assert (first != run(2, 2)).all() and (first != run(1, 1)).all()
        assert (first[0] > first[1]).all()

    def test_crops_see_the_mask(self, pictures, masks):
        found = object_coverage([BackgroundFocusedCrop(32, crop_ratio_range=(.08, .3))], pictures, masks)
        assert (found.whole < .2).all()

    def test_refuses_pictures_without_objects(self, pictures, masks):
        with pytest.raises(InputError, match='needs pictures with objects, but none of 1 has one'):
            object_coverage([], pictures[1:2], masks)

    def test_refuses_pictures_without_a_mask(self, pictures, masks):
        with pytest.raises(InputError, match='1 of 2 pictures have no object mask'):
            object_coverage([], [pictures[0], 'other.png'], masks)

    def test_refuses_no_draws(self, pictures, masks):
        with pytest.raises(InputError, match='at least 1 draw for each picture, but repeats is 0'):
            object_coverage([], pictures, masks, repeats=0)


def test_geometric_part_of_a_recipe():
    names = ['mim_plugins.LoadRGBImage', 'mim_plugins.SimpleResizedCrop', 'RandomFlip', 'ColorJitter', 'ResizeEdge',
             'PackInputs']
    assert [step['type'] for step in geometric([dict(type=name) for name in names])] == [
        'mim_plugins.SimpleResizedCrop', 'RandomFlip', 'ResizeEdge']


def test_geometric_part_of_a_recipe_that_crops_while_it_loads():
    crop = dict(type='mim_plugins.SimpleResizedCrop', scale=8)
    assert geometric([dict(type='mim_plugins.LoadAndCrop', crop=crop), dict(type='ColorJitter')]) == [crop]
    assert geometric([dict(type='mim_plugins.PackEncodedCrop', crop=crop)]) == [
        crop, dict(type='mim_plugins.RandomFlip', prob=.5)]


def test_mean_and_standard_error():
    assert mean_and_error(np.array([.2, .4, .6])) == pytest.approx((.4, .2 / 3**.5))
    mean, error = mean_and_error(np.array([.5]))
    assert mean == .5 and np.isnan(error)


def test_the_figure_shows_both_means_and_their_errors():
    shares, hidden = np.array([.4, .6]), np.array([.1, .3])
    figure = coverage_figure(dict(a=ObjectCoverage(['1', '2'], shares, hidden, 0),
                                  b=ObjectCoverage(['1', '2'], hidden, None, 0)))
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([50, 20, 20])
    assert [bar.get_x() + bar.get_width() / 2 for bar in axis.patches] == pytest.approx([-.2, .8, .2])
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ['a', 'b']
    spans = [segment[:, 1] for lines in axis.collections for segment in lines.get_segments()]
    np.testing.assert_allclose(spans, [(40, 60), (10, 30), (10, 30)])
    plt.close(figure)


class TestTool:

    def test_compares_augmentations(self, pictures, tmp_path):
        said = run_tool(TOOL, *pictures, '--masks', 'masks', '--out', 'new/out', '--size', 32, 48, '--mask-unit', 8,
                        '--augmentations', 'resize', 'src', '--repeats', 2, cwd=tmp_path)
        assert 'resize       100.0% +- 0.0% of the object, with masking' in said
        assert '(2 pictures, 1 more have no object)' in said
        with (tmp_path / 'new' / 'out' / 'object_coverage.csv').open() as file:
            rows = {row['augmentation']: row for row in csv.DictReader(file)}
        found = object_coverage(
            [SimpleResizedCrop((32, 48))], pictures, ObjectMasks(tmp_path / 'masks'),
            dict(type='mim_plugins.RandomMasks', unit=8, ratio=.75), repeats=2)
        stored = json.loads((tmp_path / 'new' / 'out' / 'object_coverage.json').read_text())
        assert list(rows) == list(stored) == ['resize', 'src']
        for part in ('whole', 'masked'):
            assert stored['src'][part] == pytest.approx(getattr(found, part))
            assert float(rows['src'][part]) == pytest.approx(np.mean(stored['src'][part]))
            assert float(rows['src'][f'{part}_error']) == pytest.approx(np.ptp(stored['src'][part]) / 2)
        assert plt.imread(tmp_path / 'new' / 'out' / 'object_coverage.png').std() > 0

    def test_takes_the_crops_of_a_recipe(self, pictures, tmp_path):
        recipe = ROOT / 'configs' / 'demo' / 'fastmim_vit-micro_bs64_demo-32.py'
        said = run_tool(TOOL, *pictures, '--masks', 'masks', '--out', 'out', '--config', recipe, '--mask-unit', 8,
                        cwd=tmp_path)
        assert f'{recipe.stem}: takes mim_plugins.RandomResizedCrop; leaves out mim_plugins.LoadRGBImage' in said
        assert "masks {'type': 'mim_plugins.RandomMasks', 'unit': 8, 'ratio': 0.5}" in said

    @pytest.mark.parametrize('options, message', [
        (('--masks', 'nowhere'), 'error: expected object masks at nowhere'),
        (('--size', 1, 2, 3), '--size wants one or two numbers of pixels, but got [1, 2, 3]'),
        (('--size', 0), '--size wants one or two numbers of pixels, but got [0]'),
        (('--config', 'recipe.py'), 'must be a recipe with masks and a training pipeline, but recipe.py is not'),
    ])
    def test_bad_input_ends_with_a_sentence(self, pictures, tmp_path, options, message):
        (tmp_path / 'recipe.py').write_text('model = dict()\n')
        said = run_tool(TOOL, *pictures, '--masks', 'masks', '--out', 'out', *options, cwd=tmp_path, ok=False)
        assert message in said
