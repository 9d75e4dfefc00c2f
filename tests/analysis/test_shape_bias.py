"""Decisions by shape or texture."""
import json

import pytest
import torch

from mim_plugins.analysis.shape_bias import (
    category_mapping,
    cue_conflicts,
    decide,
    imagenet_categories,
    shape_bias,
    shape_bias_figure,
)
from mim_plugins.errors import InputError

from ..runs import ROOT, run_tool
from .conftest import picture

TOOL = ROOT / 'tools' / 'analysis' / 'shape_bias.py'
CATEGORIES = {'cat': [0, 2], 'dog': [1], 'oven': [3]}


def test_the_categories_are_the_16_of_the_protocol():
    categories = imagenet_categories()
    assert len(categories) == 16 and list(categories) == sorted(categories)
    assert categories['airplane'] == [404] and categories['elephant'] == [385, 386] and categories['oven'] == [766]
    numbers = [number for group in categories.values() for number in group]
    assert len(numbers) == len(set(numbers)) == 207
    assert category_mapping(1000, None) == categories and category_mapping(4, CATEGORIES) is CATEGORIES
    with pytest.raises(InputError, match='known for 1000 classes of ImageNet, but the classifier has 4: give a json'):
        category_mapping(4, None)


def test_a_decision_is_the_category_of_the_highest_mean():
    scores = torch.tensor([[.4, .3, .1, .2], [.0, .3, .5, .2], [.1, .1, .1, .7]])
    assert decide(scores, CATEGORIES) == ['dog', 'dog', 'oven']  # .25 of a cat, twice
    for categories in ({'cat': [4]}, {'cat': []}, {'cat': [-1]}):
        with pytest.raises(InputError, match='category cat must name classes from 0 to 3, but names'):
            decide(scores, categories)


@pytest.fixture
def folder(tmp_path):
    for name in ('cat/cat1-dog2', 'cat/cat2-oven1', 'cat/cat1-cat2', 'dog/dog1-cat1', 'oven/oven3-dog1'):
        picture(tmp_path / 'pictures' / f'{name}.png')
    return tmp_path / 'pictures'


def test_counts_by_hand(folder):
    conflicts = cue_conflicts(folder, list(CATEGORIES))
    assert [(conflict.shape, conflict.texture) for conflict in conflicts] == [
        ('cat', 'dog'), ('cat', 'oven'), ('dog', 'cat'), ('oven', 'dog')]
    result = shape_bias(conflicts, ['cat', 'oven', 'oven', 'oven'])  # shape, texture, neither, shape
    assert result == dict(pictures=4, shape=.5, texture=.25, shape_bias=pytest.approx(2 / 3),
                          by_category=dict(cat=.5, dog=None, oven=1.))
    assert shape_bias(conflicts[:1], ['oven'])['shape_bias'] is None
    axis, = shape_bias_figure({'a': result, 'none': shape_bias(conflicts[:1], ['oven'])}).axes
    assert axis.collections[0].get_offsets().tolist() == [[.5, 0], [1, 2]]
    assert axis.lines[0].get_xdata()[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize('name', ['cat/elephant1-dog2.png', 'cat/cat1.png', 'dog/cat1-dog1.png', 'cat/cat1-cow1.png'])
def test_another_layout_is_refused(folder, name):
    picture(folder / name)
    with pytest.raises(InputError, match='cue-conflict pictures are called .* among cat, dog, oven, but there is'):
        cue_conflicts(folder, list(CATEGORIES))


def test_no_conflict_is_refused(tmp_path):
    picture(tmp_path / 'cat/cat1-cat2.png')
    with pytest.raises(InputError, match='has a shape and a texture of two categories'):
        cue_conflicts(tmp_path, list(CATEGORIES))


def test_as_a_tool(folder, classifier_files, tmp_path):
    config, checkpoint = classifier_files(4)
    printed = run_tool(TOOL, config, checkpoint, folder, '--out', 'out', cwd=tmp_path, ok=False)
    assert 'the classifier has 4: give a json file' in printed
    (tmp_path / 'categories.json').write_text(json.dumps(CATEGORIES))
    options = ('--out', 'out', '--categories', 'categories.json', '--workers', 0)
    printed = run_tool(TOOL, config, checkpoint, folder, *options, cwd=tmp_path)
    result = json.loads((tmp_path / 'out/shape_bias.json').read_text())
    assert result['pictures'] == 4 and f'{result["shape"]:.1%} decided as their shape' in printed
    assert (tmp_path / 'out/shape_bias.png').is_file()
    (tmp_path / 'categories.json').write_text('[1]')
    printed = run_tool(TOOL, config, checkpoint, folder, *options, cwd=tmp_path, ok=False)
    assert 'error: categories.json must be a json file of category -> class numbers' in printed
