import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mim_plugins.datasets.demo import DemoOptions, compose, make, make_demo_data, writers
from mim_plugins.datasets.demo.compose import visible_parts
from mim_plugins.datasets.demo.sources import PHOTOGRAPHS, load_sources, split_glyphs
from mim_plugins.errors import InputError

TINY = DemoOptions(seed=3, images=12, train=20, val=10, dense_train=8, dense_val=4, size=(24, 40))
TOOL = Path(__file__).parents[2] / 'tools/make_demo_data.py'


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def decode_rle(rle):
    values = np.arange(len(rle['counts'])) % 2
    height, width = rle['size']
    return np.repeat(values, rle['counts']).reshape(width, height).T.astype(bool)


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp('demo') / 'tiny'
    report = make_demo_data(out, TINY, workers=1)
    assert report.made
    return out


def test_layout_and_counts(tiny):
    meta = json.loads((tiny / 'meta.json').read_text())
    assert meta['options'] == TINY.to_json()
    assert set(meta['versions']) == {'numpy', 'scikit-learn', 'scikit-image', 'pillow'}
    assert meta['counts'] == {
        'pretrain': 12, 'classification/train': 20, 'classification/val': 10, 'detection/train': 8,
        'detection/val': 4, 'segmentation/training': 8, 'segmentation/validation': 4}
    assert len(list((tiny / 'pretrain').glob('*.jpg'))) == 12
    for digit in range(10):
        assert len(list((tiny / f'classification/train/{digit}').glob('*.jpg'))) == 2
        assert len(list((tiny / f'classification/val/{digit}').glob('*.jpg'))) == 1
    for part, count in (('training', 8), ('validation', 4)):
        images = sorted(p.stem for p in (tiny / f'segmentation/images/{part}').iterdir())
        labels = sorted(p.stem for p in (tiny / f'segmentation/annotations/{part}').iterdir())
        assert images == labels and len(images) == count
    assert [p.name for p in tiny.parent.iterdir()] == ['tiny']  # no temporary folder stays


@pytest.mark.slow
@pytest.mark.processes
def test_bytes_do_not_depend_on_workers(tiny, tmp_path):
    make_demo_data(tmp_path / 'again', TINY, workers=2)
    assert contents(tmp_path / 'again') == contents(tiny)


def test_seed_changes_every_picture_and_count_changes_none(tiny, tmp_path):
    only = replace(TINY, sets=('pretrain',))
    make_demo_data(tmp_path / 'seed', replace(only, seed=4))
    make_demo_data(tmp_path / 'more', replace(only, images=15))
    ours = contents(tiny / 'pretrain')
    other, more = contents(tmp_path / 'seed/pretrain'), contents(tmp_path / 'more/pretrain')
    assert all(ours[name] != other[name] for name in ours)
    assert len(more) == 15 and all(ours[name] == more[name] for name in ours)
    assert not (tmp_path / 'seed/classification').exists()


def test_sizes_and_aspect_ratios_vary_within_bounds(tiny):
    sizes = [size_of(p) for p in tiny.rglob('*.jpg')]
    sides = [side for size in sizes for side in size]
    assert min(sides) >= 24 and max(sides) <= 40
    assert len(set(sizes)) > len(sizes) / 2
    assert any(w > h for w, h in sizes) and any(w < h for w, h in sizes)


@pytest.mark.parametrize('part', ['train', 'val'])
def test_coco_annotations(tiny, part):
    coco = json.loads((tiny / f'detection/annotations/instances_{part}.json').read_text())
    assert [c['id'] for c in coco['categories']] == list(range(1, 11))
    assert [c['name'] for c in coco['categories']] == [str(d) for d in range(10)]
    files = {p.name: size_of(p) for p in (tiny / f'detection/images/{part}').iterdir()}
    assert {i['file_name']: (i['width'], i['height']) for i in coco['images']} == files
    assert len({a['id'] for a in coco['annotations']}) == len(coco['annotations'])
    for image in coco['images']:
        instances = [a for a in coco['annotations'] if a['image_id'] == image['id']]
        assert 1 <= len(instances) <= TINY.max_digits
        total = np.zeros((image['height'], image['width']), int)
        for instance in instances:
            mask = decode_rle(instance['segmentation'])
            left, top, width, height = instance['bbox']
            assert instance['area'] == mask.sum() > 0
            inside = mask[top:top + height, left:left + width]
            assert inside.sum() == mask.sum()
            assert inside[0].any() and inside[-1].any()
            assert inside[:, 0].any() and inside[:, -1].any()
            assert instance['iscrowd'] == 0
            total += mask
        assert total.max() == 1  # what a later digit covers belongs to it alone


@pytest.mark.downstream
def test_coco_loads_with_pycocotools(tiny):
    coco = pytest.importorskip('pycocotools.coco', reason='pycocotools comes with mmdet')

    data = coco.COCO(str(tiny / 'detection/annotations/instances_val.json'))
    assert len(data.getImgIds()) == 4
    for annotation in data.loadAnns(data.getAnnIds()):
        expected = decode_rle(annotation['segmentation'])
        np.testing.assert_array_equal(data.annToMask(annotation).astype(bool), expected)


@pytest.mark.parametrize('mask, counts', [
    ([[0, 0], [1, 0]], [1, 1, 2]),
    ([[1, 0], [1, 1]], [0, 2, 1, 1]),
    ([[1, 1], [1, 1]], [0, 4]),
    ([[0, 0], [0, 0]], [4]),
])
def test_run_lengths(mask, counts):
    rle = writers.encode_rle(np.array(mask, bool))
    assert rle == {'size': [2, 2], 'counts': counts}
    np.testing.assert_array_equal(decode_rle(rle), np.array(mask, bool))


def test_label_maps_follow_ade20k(tiny):
    seen = set()
    for path in (tiny / 'segmentation/annotations').rglob('*.png'):
        picture = tiny / 'segmentation/images' / path.parent.name / f'{path.stem}.jpg'
        with Image.open(path) as label:
            assert label.mode == 'L' and label.size == size_of(picture)
            values = set(np.unique(np.asarray(label)).tolist())
        assert 0 in values and 2 <= len(values) <= 1 + TINY.max_digits
        seen |= values
    assert seen <= set(range(11)) and len(seen) > 6


def test_composed_picture_shows_its_masks():
    options = DemoOptions(size=(64, 96), digit_size=(0.6, 0.9), contrast=0)
    for seed in range(30):
        picture = compose.compose(np.random.default_rng(seed), load_sources(False), options)
        assert picture.image.shape[:2] == picture.masks.shape[1:]
        assert len(picture.digits) == len(picture.masks)
        for mask in picture.masks:
            colours = picture.image[mask].astype(int)
            near = np.abs(colours - np.median(colours, axis=0)).max(1) < 60
            assert near.mean() > 0.7
        # Over flat grey, whatever differs much from grey belongs to a digit.
        strong = np.abs(picture.image.astype(int) - 128).max(2) > 100
        assert not (strong & ~picture.masks.any(0)).any()


def test_later_digits_occlude_earlier_ones():
    first, second = np.zeros((2, 4, 4), bool)
    first[:3, :3] = True
    second[2:, 2:] = True
    seen = visible_parts([first, second])
    assert seen[0].sum() == 8 and not seen[0][2, 2]
    np.testing.assert_array_equal(seen[1], second)


def test_digit_heights_follow_the_option():
    options = DemoOptions(size=(100, 100), digit_size=(0.5, 0.5))
    heights = []
    for seed in range(40):
        picture = compose.compose(
            np.random.default_rng(seed), load_sources(False), options, digits=(seed % 10,))
        assert picture.digits == (seed % 10,)
        heights.append(np.flatnonzero(picture.masks[0].any(1)).size)
    assert 0.9 * 50 < np.mean(heights) < 1.1 * 50


def test_contrast_scales_the_photograph():
    spread = []
    for contrast in (0.0, 0.5, 1.0):
        options = DemoOptions(digit_size=(0.3, 0.3), contrast=contrast, size=(48, 48))
        rng = np.random.default_rng(5)
        picture = compose.compose(rng, load_sources(False), options, digits=(1,))
        spread.append(picture.image[~picture.masks.any(0)].astype(float).std(0).mean())
    assert spread[0] < spread[1] < spread[2]


def test_train_and_val_share_no_glyph_and_no_pixel():
    total = 0
    for digit in range(10):
        train, val = (
            {glyph.tobytes() for glyph in split_glyphs(digit, side)} for side in (False, True))
        assert not train & val
        total += len(split_glyphs(digit, False)) + len(split_glyphs(digit, True))
    assert total == 1797
    train, val = load_sources(False), load_sources(True)
    assert len(train.photographs) == len(val.photographs) == sum(map(len, PHOTOGRAPHS.values()))
    for ours, theirs in zip(train.photographs, val.photographs):
        axis = 0 if ours.height == theirs.height and ours.width != theirs.width else 1
        assert ours.size[1 - axis] == theirs.size[1 - axis]
        assert theirs.size[axis] / (ours.size[axis] + theirs.size[axis]) == pytest.approx(
            1 / 3, abs=0.01)


def test_only_validation_splits_read_validation_sources(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        writers, 'load_sources', lambda val: asked.append(val) or load_sources(val))
    make_demo_data(tmp_path / 'demo', TINY, workers=1)
    assert asked == [split.val for split in writers.SPLITS]
    assert [s.name for s in writers.SPLITS if s.val] == [
        'classification/val', 'detection/val', 'segmentation/validation']


def test_same_data_is_kept_and_other_data_refused(tiny, tmp_path):
    assert not make_demo_data(tiny, TINY).made
    other = replace(TINY, contrast=1.0, sets=('pretrain',))
    with pytest.raises(InputError, match='made with other options'):
        make_demo_data(tiny, other)
    out = tmp_path / 'demo'
    make_demo_data(out, replace(TINY, sets=('segmentation',)))
    assert make_demo_data(out, other, force=True).made
    assert sorted(p.name for p in out.iterdir()) == ['meta.json', 'pretrain']
    assert [p.name for p in tmp_path.iterdir()] == ['demo']


@pytest.mark.parametrize('force', [False, True])
def test_strange_files_are_never_replaced(tmp_path, force):
    (tmp_path / 'thesis.txt').write_text('years of work')
    with pytest.raises(InputError, match='holds other files'):
        make_demo_data(tmp_path, TINY, force=force)
    with pytest.raises(InputError, match='holds other files'):
        make_demo_data(tmp_path / 'thesis.txt', TINY, force=force)
    assert contents(tmp_path) == {'thesis.txt': b'years of work'}


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(out, split, start, stop, options):
        if split.name == 'detection/val':
            raise OSError(28, 'No space left on device')
        return writers.write_range(out, split, start, stop, options)

    monkeypatch.setattr(make, 'write_range', fail)
    with pytest.raises(InputError, match='could not be written to .*No space left'):
        make_demo_data(tmp_path / 'demo', TINY, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('option, message', [
    (dict(sets=('pretrain', 'video')), 'sets must name some of pretrain, .* got'),
    (dict(images=0), 'images must be between 1 and 9999999, got 0'),
    (dict(seed=-1), 'seed must be between 0 and'),
    (dict(contrast=1.5), 'contrast must be between 0 and 1, got 1.5'),
    (dict(size=(48, 32)), 'size must be two rising numbers between 16 and 4096'),
    (dict(digit_size=(0.5, 1.2)), 'digit_size must be two rising numbers between 0.05 and 1'),
    (dict(size=(16, 16), digit_size=(0.2, 1.0)), 'digits must be at least 4 px high, got 1.8 px'),
])
def test_options_out_of_range(option, message):
    with pytest.raises(InputError, match=message) as error:
        DemoOptions(**option)
    assert '\n' not in str(error.value)


def test_command(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path / 'demo'), *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        printed = capsys.readouterr()
        return end.value.code, printed.out + printed.err

    options = ['--sets', 'pretrain', '--images', '4', '--size', '32', '40']
    assert run(*options)[0] == 0
    code, text = run(*options)
    assert code == 0 and 'holds this data already' in text
    code, text = run('--contrast', '0.5')
    assert code == 1 and text.count('\n') == 1 and 'made with other options' in text
    assert run(*options, '--digit-size', '0.6', '0.9', '--force')[0] == 0


@pytest.mark.downstream
def test_mmdet_reads_the_instances(tiny):
    from mmdet.datasets import CocoDataset

    dataset = CocoDataset(
        data_root=str(tiny / 'detection'), ann_file='annotations/instances_val.json',
        data_prefix=dict(img='images/val/'), metainfo=dict(classes=tuple('0123456789')), test_mode=True,
        pipeline=[dict(type='mmdet.LoadImageFromFile'),
                  dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)])
    assert len(dataset) == 4
    for data in dataset:
        masks = data['gt_masks'].masks
        assert masks.shape[1:] == data['img'].shape[:2] and len(masks) == len(data['gt_bboxes_labels']) > 0
        np.testing.assert_allclose(data['gt_bboxes'].tensor.numpy(), data['gt_masks'].get_bboxes('hbox').tensor.numpy())


@pytest.mark.downstream
def test_mmseg_reads_the_label_maps(tiny):
    import mmseg.datasets.transforms  # noqa: F401  registers the transforms
    from mmseg.datasets import BaseSegDataset

    dataset = BaseSegDataset(
        data_root=str(tiny / 'segmentation'), metainfo=dict(classes=tuple('0123456789')), reduce_zero_label=True,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=[dict(type='mmseg.LoadAnnotations')])
    maps = [data['gt_seg_map'] for data in dataset]
    assert len(maps) == 4
    values = set(np.unique(np.concatenate([labels.ravel() for labels in maps])).tolist())
    assert 255 in values and values - {255} <= set(range(10)) and len(values) > 2
