from pathlib import Path

import pytest
from mmpretrain.datasets import ImageNet

from mim_plugins.datasets.few_shot import choose_few
from mim_plugins.errors import InputError

from ..runs import ROOT, run_tool


def make(root: Path, **classes: int) -> Path:
    """A folder of classes with so many empty images each, made in the order given."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f'{number:03}.JPEG').touch()
    return root


def test_a_share_of_each_class_and_at_least_one(tmp_path):
    chosen = choose_few(make(tmp_path / 'train', ant=100, bee=25, cat=3), 10, seed=0)
    labels = [label for _, label in chosen]
    assert [labels.count(label) for label in range(3)] == [10, 3, 1]
    assert {path.split('/')[0] for path, label in chosen if label == 1} == {'bee'}
    assert chosen == sorted(set(chosen))


def test_depends_on_names_and_seed_alone(tmp_path):
    first = choose_few(make(tmp_path / 'one', ant=40, bee=30), 10, seed=3)
    assert first == choose_few(make(tmp_path / 'two', bee=30, ant=40), 10, seed=3)
    assert first != choose_few(tmp_path / 'one', 10, seed=4)


def test_a_smaller_share_is_part_of_a_larger_one(tmp_path):
    root = make(tmp_path / 'train', ant=100, bee=50)
    one, ten, everything = (set(choose_few(root, percent, seed=0)) for percent in (1, 10, 100))
    assert one < ten < everything and (len(one), len(ten), len(everything)) == (2, 15, 150)


@pytest.mark.parametrize('percent', [0, -1, 101, float('nan')])
def test_refuses_what_is_no_share(tmp_path, percent):
    with pytest.raises(InputError, match='percent must be above 0 and at most 100'):
        choose_few(tmp_path, percent, seed=0)


def test_refuses_folders_that_are_no_classes(tmp_path):
    root = make(tmp_path / 'train', ant=2)
    (root / 'loose.JPEG').touch()
    with pytest.raises(InputError, match='a folder for each class .* 1 images are in none: loose.JPEG'):
        choose_few(root, 50, seed=0)
    (root / 'loose.JPEG').unlink()
    (root / 'bee').mkdir()
    with pytest.raises(InputError, match='images in the folder of each class .* 1 have none: bee'):
        choose_few(root, 50, seed=0)
    with pytest.raises(InputError, match='expected a folder of images at .*gone'):
        choose_few(root / 'gone', 50, seed=0)


def test_refuses_the_folder_above(tmp_path):
    make(tmp_path / 'data/train', ant=2, bee=2)
    with pytest.raises(InputError, match='all lie deeper, as train/ant/000.JPEG: name the folder above the classes'):
        choose_few(tmp_path / 'data', 50, seed=0)


def test_the_tool_writes_what_mmpretrain_reads(tmp_path):
    root = make(tmp_path / 'train', ant=20, bee=30)
    tool = ROOT / 'tools/make_few_shot_list.py'
    printed = run_tool(tool, root, 'meta/few.txt', '--percent', 10, cwd=tmp_path)
    assert printed.endswith('5 images of 2 classes listed in meta/few.txt\n')
    found = ImageNet(data_root=str(tmp_path), split='train', ann_file='meta/few.txt',
                     metainfo=dict(classes=('ant', 'bee')))
    assert [(found[i]['img_path'], found[i]['gt_label']) for i in range(len(found))] == [
        (str(root / path), label) for path, label in choose_few(root, 10, seed=0)]
    printed = run_tool(tool, root, 'meta/few.txt', '--percent', 10, cwd=tmp_path, ok=False)
    assert 'few.txt is there already' in printed
    printed = run_tool(tool, root, root / 'ant/000.JPEG/few.txt', '--percent', 10, cwd=tmp_path, ok=False)
    assert 'few.txt cannot be written' in printed
