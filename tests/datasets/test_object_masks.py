"""Object masks of a folder and of a COCO json, and the transform that loads them."""
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mim_plugins.datasets.object_masks import ObjectMasks
from mim_plugins.errors import InputError
from mim_plugins.registry import TRANSFORMS

OBJECT = np.zeros((6, 9), dtype=bool)
OBJECT[1:4, 2:7] = True
POLYGON = [[2, 1, 7, 1, 7, 4, 2, 4]]
RUNS = dict(size=[6, 9], counts=[13, 3, 3, 3, 3, 3, 3, 3, 3, 3, 14])  # column by column


def write_mask(path: Path, array: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)


def write_coco(path: Path, images: dict[str, list]) -> Path:
    """A json of images of 6x9 px: file name -> segmentations."""
    path.write_text(json.dumps(dict(
        images=[dict(id=number, file_name=name, height=6, width=9) for number, name in enumerate(images)],
        annotations=[dict(image_id=number, segmentation=one)
                     for number, some in enumerate(images.values()) for one in some])))
    return path


class TestFolder:

    @pytest.mark.parametrize('mode', [None, '1', 'L', 'RGB', 'RGBA', 'LA', 'I;16'])
    def test_all_but_zero_is_an_object_in_any_mode(self, tmp_path, mode):
        write_mask(tmp_path / 'a.png', OBJECT * np.uint8(255), mode)
        assert np.array_equal(ObjectMasks(tmp_path).masks('pictures/a.jpg', (6, 9, 3)), OBJECT)

    def test_numbers_of_a_palette_count_not_its_colours(self, tmp_path):
        image = Image.fromarray(OBJECT.astype(np.uint8), 'P')
        image.putpalette([255, 255, 255, 0, 0, 0])
        image.save(tmp_path / 'a.png')
        assert np.array_equal(ObjectMasks(tmp_path).masks('a.jpg'), OBJECT)

    def test_transparency_is_no_object(self, tmp_path):
        write_mask(tmp_path / 'a.png', np.dstack([np.zeros((6, 9, 3), np.uint8), OBJECT * np.uint8(255)]))
        assert not ObjectMasks(tmp_path).masks('a.jpg').any()

    def test_sub_folders_below_the_root(self, tmp_path):
        for name, mask in (('cat/1', OBJECT), ('dog/1', ~OBJECT), ('1', OBJECT[:2])):
            write_mask(tmp_path / 'masks' / f'{name}.png', mask)
        masks = ObjectMasks(tmp_path / 'masks', tmp_path / 'pictures')
        for name, mask in (('cat/1.jpg', OBJECT), ('dog/1.webp', ~OBJECT), ('1.png', OBJECT[:2])):
            assert np.array_equal(masks.masks(tmp_path / 'pictures' / name), mask)
        with pytest.raises(InputError, match='has no object mask of .*elsewhere/1.jpg'):
            masks.masks(tmp_path / 'elsewhere' / '1.jpg')

    def test_without_a_root_the_longest_end_of_the_path_counts(self, tmp_path):
        for name, mask in (('val/1', OBJECT), ('1', ~OBJECT)):
            write_mask(tmp_path / f'{name}.png', mask)
        masks = ObjectMasks(tmp_path)
        assert np.array_equal(masks.masks('some/val/1.jpg'), OBJECT)
        assert np.array_equal(masks.masks('some/train/1.jpg'), ~OBJECT)

    def test_a_file_that_is_no_picture(self, tmp_path):
        (tmp_path / 'a.png').write_bytes(b'nothing')
        with pytest.raises(InputError, match='the object mask .*a.png cannot be read'):
            ObjectMasks(tmp_path).masks('a.jpg')


class TestCoco:

    @pytest.fixture(autouse=True)
    def _needs_pycocotools(self):
        pytest.importorskip('pycocotools.mask', reason='pycocotools is of the downstream level')

    @pytest.mark.parametrize('segmentation', [POLYGON, RUNS])
    def test_polygons_and_runs(self, tmp_path, segmentation):
        masks = ObjectMasks(write_coco(tmp_path / 'a.json', {'1.jpg': [segmentation]}))
        assert np.array_equal(masks.masks('pictures/1.jpg', (6, 9)), OBJECT)

    def test_compressed_runs(self, tmp_path):
        from pycocotools import mask as coco

        runs = coco.encode(np.asfortranarray(OBJECT, dtype=np.uint8))
        masks = ObjectMasks(write_coco(tmp_path / 'a.json', {'1.jpg': [{**runs, 'counts': runs['counts'].decode()}]}))
        assert np.array_equal(masks.masks('1.jpg'), OBJECT)

    def test_the_union_of_all_annotations(self, tmp_path):
        left, right = [[0, 0, 2, 0, 2, 6, 0, 6]], [[5, 0, 9, 0, 9, 6, 5, 6]]
        masks = ObjectMasks(write_coco(tmp_path / 'a.json', {'1.jpg': [left, right, RUNS], '2.jpg': [left + right]}))
        expected = np.zeros((6, 9), dtype=bool)
        expected[:, :2] = expected[:, 5:] = True
        assert np.array_equal(masks.masks('2.jpg'), expected)
        assert np.array_equal(masks.masks('1.jpg'), expected | OBJECT)

    @pytest.mark.parametrize('segmentations', [[], [[]], [[[1, 1, 5, 5]]]])
    def test_nothing_with_an_area_is_an_empty_mask(self, tmp_path, segmentations):
        mask = ObjectMasks(write_coco(tmp_path / 'a.json', {'1.jpg': segmentations})).masks('1.jpg')
        assert mask.shape == (6, 9) and mask.dtype == bool and not mask.any()

    def test_names_below_the_root_or_unique(self, tmp_path):
        file = write_coco(tmp_path / 'a.json', {'cat/1.jpg': [POLYGON], 'dog/1.jpg': [], 'dog/2.jpg': [POLYGON]})
        for masks in (ObjectMasks(file, tmp_path / 'pictures'), ObjectMasks(file)):
            assert masks.masks(tmp_path / 'pictures' / 'cat' / '1.jpg').any()
            assert not masks.masks(tmp_path / 'pictures' / 'dog' / '1.jpg').any()
            with pytest.raises(InputError, match='a.json has no object mask of .*pictures/1.jpg'):
                masks.masks(tmp_path / 'pictures' / '1.jpg')
        other = tmp_path / 'pictures' / 'cat' / '2.jpg'
        assert ObjectMasks(file).masks(other).any()
        with pytest.raises(InputError, match='a.json has no object mask of .*cat/2.jpg'):  # dog/2.jpg is another one
            ObjectMasks(file, tmp_path / 'pictures').masks(other)

    def test_a_copy_for_a_worker_needs_no_file(self, tmp_path):
        file = write_coco(tmp_path / 'a.json', {'1.jpg': [POLYGON]})
        copy = pickle.loads(pickle.dumps(ObjectMasks(file)))
        file.unlink()
        assert np.array_equal(copy.masks('1.jpg'), OBJECT)

    @pytest.mark.parametrize('text, message', [
        ('{', 'JSONDecodeError'),
        ('[]', 'TypeError'),
        ('{"images": []}', "KeyError: 'annotations'"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}', "KeyError: 'segmentation'"),
    ])
    def test_another_json_is_refused(self, tmp_path, text, message):
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(InputError, match='a.json must be a COCO json of images and annotations with segmentations, '
                                             f'but reading it ended with {message}'):
            ObjectMasks(tmp_path / 'a.json')

    @pytest.mark.parametrize('segmentation, message', [
        (dict(size=[6, 9], counts=[1, 2]), 'its runs have 3 px, the image 54'),
        (dict(size=[6, 9], counts='zzzzzz'), 'Invalid RLE'),
        (dict(counts=[54]), 'size'),
        (dict(size=[9, 6], counts=[20, 34]), 'it is of 9x6 px, the image of 6x9'),
        (None, ''),
    ])
    def test_damaged_annotations(self, tmp_path, segmentation, message):
        masks = ObjectMasks(write_coco(tmp_path / 'a.json', {'1.jpg': [POLYGON, segmentation]}))
        with pytest.raises(InputError, match=f'an annotation of 1.jpg in .*a.json is damaged: .*{message}'):
            masks.masks('1.jpg')


def test_a_json_without_pycocotools_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools.mask', None)
    with pytest.raises(InputError, match='needs pycocotools: pip install pycocotools'):
        ObjectMasks(write_coco(tmp_path / 'a.json', {}))


class TestCheck:

    def test_names_how_many_and_the_first(self, tmp_path):
        write_mask(tmp_path / 'a.png', OBJECT)
        masks = ObjectMasks(tmp_path)
        masks.check(['x/a.jpg', 'a.png'])
        with pytest.raises(InputError, match='2 of 3 pictures have no object mask in .*, the first is x/b.jpg'):
            masks.check(['x/a.jpg', 'x/b.jpg', 'x/c.jpg'])

    def test_no_source(self, tmp_path):
        with pytest.raises(InputError, match='expected object masks at .*nothing, a folder or a COCO json'):
            ObjectMasks(tmp_path / 'nothing')


class TestTransform:

    @pytest.fixture
    def transform(self, tmp_path):
        write_mask(tmp_path / 'a.png', OBJECT)
        return TRANSFORMS.build(dict(type='mim_plugins.LoadObjectMask', source=str(tmp_path)))

    def test_sets_the_mask_beside_the_picture(self, transform):
        sample = dict(img_path='pictures/a.jpg', img=np.zeros((6, 9, 4)))
        results = pickle.loads(pickle.dumps(transform))(sample)
        assert np.array_equal(results['object_mask'], OBJECT) and results['img'] is sample['img']
        assert 'object_mask' not in sample

    def test_another_size_is_refused(self, transform):
        with pytest.raises(InputError, match='object mask of a.jpg must have the 9x6 px of the picture, but has 6x9'):
            transform(dict(img_path='a.jpg', img=np.zeros((9, 6, 3))))

    def test_needs_the_picture(self, transform):
        with pytest.raises(InputError, match='LoadObjectMask needs a loaded picture: put mim_plugins.LoadRGBImage'):
            transform(dict(img_path='a.jpg'))
