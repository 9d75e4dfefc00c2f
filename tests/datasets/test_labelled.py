"""Labelled data sets in the formats that they come in."""
import json
from pathlib import Path

import pytest

from mim_plugins.errors import InputError
from mim_plugins.registry import DATASETS

INAT = dict(
    info={}, licenses=[],
    images=[dict(id=7, file_name='train_val2018/Plantae/1/b.jpg', width=8, height=8),
            dict(id=9, file_name='train_val2018/Aves/0/a.jpg', width=8, height=8)],
    categories=[dict(id=5, name='Poa', supercategory='Plantae'), dict(id=2, name='Anas', supercategory='Aves')],
    annotations=[dict(id=0, image_id=9, category_id=2), dict(id=1, image_id=7, category_id=5)])


def samples(dataset) -> list[tuple[str, int]]:
    return [(dataset[number]['img_path'], dataset[number]['gt_label']) for number in range(len(dataset))]


def inaturalist(folder: Path, contents: dict | str):
    (folder / 'train2018.json').write_text(contents if isinstance(contents, str) else json.dumps(contents))
    return DATASETS.build(dict(type='mim_plugins.INaturalist', data_root=str(folder), ann_file='train2018.json'))


def test_inaturalist(tmp_path):
    dataset = inaturalist(tmp_path, INAT)
    assert samples(dataset) == [(f'{tmp_path}/train_val2018/Plantae/1/b.jpg', 1),
                                (f'{tmp_path}/train_val2018/Aves/0/a.jpg', 0)]
    assert dataset.CLASSES == ('Anas', 'Poa')


@pytest.mark.parametrize('contents, sentence', [
    ('{', 'is not a JSON file with images, annotations and categories .* JSONDecodeError'),
    ({**INAT, 'categories': INAT['categories'][:1]}, 'as iNaturalist has them: KeyError 2'),
    (dict(images=[]), "as iNaturalist has them: KeyError 'annotations'"),
    ({**INAT, 'annotations': INAT['annotations'][:1]}, 'exactly one label for each image, but has 1 for 2 images'),
    ({**INAT, 'annotations': 2 * INAT['annotations']}, 'exactly one label for each image, but has 4 for 2 images'),
    ({**INAT, 'images': [dict(id=7), INAT['images'][1]]}, "as iNaturalist has them: KeyError 'file_name'"),
    ({**INAT, 'images': [7, 9]}, 'as iNaturalist has them: TypeError'),
    ({**INAT, 'images': [dict(id=7, file_name=3)]}, 'as iNaturalist has them: TypeError'),
    ({**INAT, 'images': [], 'annotations': []}, 'must have images, but has none'),
    ({**INAT, 'images': [*INAT['images'], INAT['images'][0]]}, 'its own for each image, but has 2 for 3 images'),
])
def test_inaturalist_refuses(tmp_path, contents, sentence):
    with pytest.raises(InputError, match=sentence):
        inaturalist(tmp_path, contents)


def places(folder: Path, text: str, **options):
    (folder / 'list.txt').write_text(text, encoding='utf-8')
    return DATASETS.build(dict(
        type='mim_plugins.Places', data_root=str(folder), ann_file='list.txt', data_prefix='images', **options))


@pytest.mark.parametrize('text', [
    'a/abbey/gsun_1.jpg,0\na/art studio/b.jpg,17\n',
    '/a/abbey/gsun_1.jpg 0\n/a/art studio/b.jpg 17\n',
    '//a/abbey/gsun_1.jpg 0\n///a/art studio/b.jpg 17\n',
])
def test_places(tmp_path, text):
    assert samples(places(tmp_path, text)) == [
        (f'{tmp_path}/images/a/abbey/gsun_1.jpg', 0), (f'{tmp_path}/images/a/art studio/b.jpg', 17)]


@pytest.mark.parametrize('text, sentence', [
    ('a.jpg 0\nb.jpg\n', "must be a path and a label, but line 2 is 'b.jpg'"),
    ('// 0\n', "must be a path and a label, but line 1 is '// 0'"),
    ('', "must be a path and a label, but line 1 is ''"),
])
def test_places_refuses(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        places(tmp_path, text)


def test_places_reads_and_refuses_by_utf_8(tmp_path):
    assert samples(places(tmp_path, 'a/café.jpg 0\n')) == [(f'{tmp_path}/images/a/café.jpg', 0)]
    (tmp_path / 'latin.txt').write_bytes('a/café.jpg 0\n'.encode('latin-1'))
    with pytest.raises(InputError, match='a list of Places in UTF-8 at .*latin.txt, but its byte 5 is none'):
        DATASETS.build(dict(type='mim_plugins.Places', data_root=str(tmp_path), ann_file='latin.txt'))


def test_missing_files_are_told(tmp_path):
    for name, sentence in (('INaturalist', 'annotations of iNaturalist at .*gone: No such file'),
                           ('Places', 'a list of Places at .*gone: No such file')):
        with pytest.raises(InputError, match=sentence):
            DATASETS.build(dict(type=f'mim_plugins.{name}', data_root=str(tmp_path), ann_file='gone'))
