"""Reading a store: what comes out is what the teacher said, and what does not belong together is told."""
import json
import pickle
import shutil

import pytest
import torch

from mim_plugins.engine.extraction import Teacher, read_extraction
from mim_plugins.errors import InputError
from mim_plugins.models import TeacherTarget
from mim_plugins.offline import FeatureStore, Manifest, content_hash, key_of
from mim_plugins.offline.manifest import differences
from mim_plugins.ops import dequantize

from .conftest import NUMBER, SHARD, VIT, config, make_store


@pytest.fixture
def copy(flipped_store, tmp_path):
    """A store to damage."""
    return shutil.copytree(flipped_store, tmp_path / 'copy')


def live(pictures, name: str, view: str, **teacher: object) -> torch.Tensor:
    """The teacher's features [h, w, C] of one middle image, computed alone."""
    crop = dict(flip_prob=.5)
    cfg = config(pictures, 'unused', crop, **teacher)
    images = read_extraction(cfg, 'unused', 'float32', SHARD).images
    place = next(index for index in range(len(images)) if images.name(index) == name)
    return Teacher(cfg, 'cpu')(torch.from_numpy(images[place].views[['identity', 'hflip'].index(view)])[None])[0]


@pytest.mark.parametrize('view', ['identity', 'hflip'])
@pytest.mark.parametrize('box', [None, (0, 0, 6, 6), (2, 1, 6, 5), (5, 5, 6, 6)])
def test_a_slice_is_the_slice_of_the_teachers_features(pictures, flipped_store, view, box):
    store = FeatureStore(flipped_store)
    top, left, bottom, right = box or (0, 0, 6, 6)
    for name in ('a/0.png', 'b/3.png', 'a/8.png'):
        features, scales = store.read(name, box, view)
        expected = live(pictures, name, view)[top:bottom, left:right]
        assert scales is None and features.shape == (bottom - top, right - left, 16)
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def test_the_mirrored_view_is_not_a_mirrored_grid(flipped_store):
    store = FeatureStore(flipped_store)
    identity, hflip = (store.read('a/0.png', view=view)[0] for view in ('identity', 'hflip'))
    assert (identity.flip(1) - hflip).abs().max() > .1


@pytest.mark.parametrize('dtype, tolerance, calibrated', [
    ('float16', 2e-3, True),
    ('bfloat16', 2e-2, True),
    ('int8', 5e-2, True),
    ('int8', 5e-2, False),
])
def test_other_dtypes(pictures, flipped_store, stores, tmp_path, dtype, tolerance, calibrated):
    if calibrated:
        store = FeatureStore(stores(dtype))
    else:
        store = FeatureStore(make_store(pictures, tmp_path / 'store', dtype, calibrated=False))
    exact = FeatureStore(flipped_store)
    assert (store.calibration is not None) == (dtype == 'int8' and calibrated)
    for name in exact.names():
        values, scales = store.read(name, (1, 2, 5, 6))
        assert values.dtype == getattr(torch, dtype) and (scales is None) == (dtype != 'int8')
        features = values.float() if scales is None else dequantize(values, scales, store.calibration)
        torch.testing.assert_close(features, exact.read(name, (1, 2, 5, 6))[0], atol=tolerance, rtol=tolerance)


def test_middle_images_of_several_shapes(pictures, tmp_path):
    crop = dict(fit='short_side', flip_prob=.5)
    store = FeatureStore(make_store(pictures, tmp_path / 'store', crop=crop, batch_size=2))
    grids = {tuple(store.read(name)[0].shape[:2]) for name in store.names()}
    assert len(grids) > 2 and all(min(grid) == 6 for grid in grids)


def test_names_that_share_a_number(flipped_store, monkeypatch):
    expected = {name: FeatureStore(flipped_store).read(name)[0] for name in FeatureStore(flipped_store).names()}
    monkeypatch.setattr('mim_plugins.offline.store._number', lambda key: 7)
    store = FeatureStore(flipped_store)
    assert all(torch.equal(store.read(name)[0], features) for name, features in expected.items())
    with pytest.raises(InputError, match='the image a/1.png is not in the store'):
        store.read('a/1.png')


def test_features_are_views_of_the_file(flipped_store):
    store = FeatureStore(flipped_store)
    first, again = (store.read('a/0.png', (1, 1, 3, 3))[0] for _ in range(2))
    assert first.data_ptr() == again.data_ptr() and not first.is_contiguous()


@pytest.mark.parametrize('key, box, view, message', [
    ('a/1.png', None, 'identity', r'the image a/1.png is not in the store .* holds 10 images such as a/0.png'),
    ('a/0.png', (0, 0, 7, 4), 'identity', r'the box \(0, 0, 7, 4\) .* does not lie on the grid of 6x6 cells'),
    ('a/0.png', (-1, 0, 3, 4), 'identity', 'does not lie on the grid'),
    ('a/0.png', (3, 3, 3, 4), 'identity', 'does not lie on the grid'),
    ('a/0.png', None, 'vflip', 'holds the views identity, hflip, but vflip was asked for'),
])
def test_what_is_not_there(flipped_store, key, box, view, message):
    with pytest.raises(InputError, match=message):
        FeatureStore(flipped_store).read(key, box, view)


def test_a_view_that_was_not_stored(stores):
    with pytest.raises(InputError, match='holds the views identity, but hflip was asked for'):
        FeatureStore(stores()).read('a/0.png', view='hflip')


def test_content_and_grid_are_compared(pictures, flipped_store):
    store, same = FeatureStore(flipped_store), content_hash((pictures / 'a/0.png').read_bytes())
    assert store.read('a/0.png', content=same, grid=(6, 6))[0].shape == (6, 6, 16)
    with pytest.raises(InputError, match=f'a/0.png has changed since .* is {content_hash(b"x").hex()} now and was '
                                         f'{same.hex()}'):
        store.read('a/0.png', content=content_hash(b'x'))
    with pytest.raises(InputError, match='has 6x8 cells now, but had 6x6 when the store'):
        store.read('a/0.png', grid=(6, 8))


def test_survives_a_spawned_worker(flipped_store):
    store = FeatureStore(flipped_store)
    travelled = pickle.dumps(store)
    assert len(travelled) < 1000
    assert torch.equal(pickle.loads(travelled).read('b/3.png')[0], store.read('b/3.png')[0])


class TestOpening:

    def test_no_store(self, tmp_path):
        with pytest.raises(InputError, match='no store of features in .*: expected manifest.json'):
            FeatureStore(tmp_path)

    def test_missing_shard(self, copy):
        (copy / 'shard-00001.safetensors').unlink()
        with pytest.raises(InputError, match='not whole: of its 3 shards, 1 cannot be used .*shard-00001.* is missing'):
            FeatureStore(copy)

    @pytest.mark.parametrize('keep', [0, 5, 200, -1])
    def test_truncated_shard(self, copy, keep):
        path = copy / 'shard-00002.safetensors'
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match='shard-00002.safetensors is cut short or damaged'):
            FeatureStore(copy)

    def test_shards_of_another_store(self, copy, pictures, tmp_path):
        other = make_store(pictures, tmp_path / 'other', crop=dict(flip_prob=.5, interpolation='bilinear'))
        shutil.copy(other / 'shard-00000.safetensors', copy)
        with pytest.raises(InputError, match='shard-00000.safetensors belongs to another store'):
            FeatureStore(copy)
        shutil.copy(copy / 'shard-00002.safetensors', copy / 'shard-00000.safetensors')
        with pytest.raises(InputError, match='belongs to another store, or to another place in it'):
            FeatureStore(copy)

    @pytest.mark.parametrize('change, message', [
        (lambda values: values.update(format=2), 'has format 2, but this version of mim_plugins reads format 1'),
        (lambda values: values.pop('views'), "is damaged: KeyError 'views'"),
        (lambda values: values.update(dtype='int4'), "stored as one of .*, but dtype is 'int4'"),
        (lambda values: values.update(colour='red'), 'is damaged: TypeError'),
        (lambda values: values.update(images={}), "is damaged: KeyError 'count'"),
        (lambda values: values.update(images=dict(count='many')), 'is damaged: TypeError numbers are not numbers'),
        (lambda values: values.update(channels=17), 'belongs to another store'),
    ])
    def test_another_manifest(self, copy, change, message):
        values = json.loads((copy / 'manifest.json').read_text())
        change(values)
        (copy / 'manifest.json').write_text(json.dumps(values))
        with pytest.raises(InputError, match=message):
            FeatureStore(copy)

    @pytest.mark.parametrize('content', ['', '{', '[]', '{"format": 1, "views": 3}'])
    def test_a_manifest_that_is_none(self, copy, content):
        (copy / 'manifest.json').write_text(content)
        with pytest.raises(InputError, match='manifest.json is damaged'):
            FeatureStore(copy)

    @pytest.mark.parametrize('damage', ['missing', 'damaged'])
    def test_calibration(self, copied, damage):
        store = copied('int8')
        path = store / 'calibration.safetensors'
        path.unlink() if damage == 'missing' else path.write_bytes(path.read_bytes()[:-1] + b'\0')
        with pytest.raises(InputError, match=f'calibration.safetensors is {damage}'):
            FeatureStore(store)


class TestManifest:

    def test_tells_all(self, pictures, flipped_store):
        manifest = Manifest.load(flipped_store)
        assert manifest.teacher['name'] == 'VisionTransformer' and len(manifest.teacher['sha256']) == 64
        assert (manifest.teacher['layer'], manifest.teacher['dtype'], manifest.teacher['patch']) == (None, 'float32', 8)
        assert (manifest.teacher['mean'], manifest.teacher['std']) == ([120.] * 3, [60.] * 3)
        assert manifest.middle_image == dict(decoder='LoadRGBImage', size=[48, 48], patch=8, grid=[6, 6], fit='stretch',
                                             backend='pillow', interpolation='bicubic')
        assert manifest.images['count'] == NUMBER and manifest.views == ('identity', 'hflip')
        assert (manifest.channels, manifest.dtype, manifest.shards) == (16, 'float32', 3)
        assert [len(manifest.shard(number)) for number in range(3)] == [4, 4, 2]
        assert manifest.package and manifest.made_with['torch']

    def test_weights_decide_about_the_teacher(self, pictures, flipped_store, tmp_path):
        weights = TeacherTarget(VIT, 16, [0.], [1.], cell=8, random_weights=True).network.state_dict()
        torch.save(weights, tmp_path / 'same.pth')
        weights['layers.1.ln1.bias'][3] += 1e-3
        torch.save(weights, tmp_path / 'other.pth')
        found = [Manifest.load(flipped_store).teacher]
        for name in ('same', 'other'):
            checkpoint = str(tmp_path / f'{name}.pth')
            make_store(pictures, tmp_path / name, random_weights=False, checkpoint=checkpoint)
            found.append(Manifest.load(tmp_path / name).teacher)
        assert found[0] == found[1] and found[0]['sha256'] != found[2]['sha256']
        assert found[0]['name'] == found[2]['name']

    @pytest.mark.parametrize('dtype, views, expected', [
        ('int8', 1, 256 * 772), ('float16', 1, 256 * 1536), ('float32', 2, 2 * 256 * 3072),
        ('bfloat16', 2, 2 * 256 * 1536)])
    def test_size_of_an_image(self, dtype, views, expected):
        manifest = Manifest(teacher={}, middle_image={}, channels=768, dtype=dtype, views=('identity', 'hflip')[:views],
                            images=dict(count=1_281_167), images_per_shard=1024)
        assert manifest.entry_bytes(256) == expected
        assert manifest.shards == 1252 and len(manifest.shard(1251)) == 143
        if dtype == 'int8':  # ImageNet-1K
            assert expected * 1_281_167 < .26e12

    def test_differences_name_both_sides(self):
        here, there = dict(a=1, b=dict(c=2, d=3)), dict(a=1, b=dict(c=4), e=5)
        assert differences(here, there) == [
            'b.c is 2 here and 4 in the store', 'b.d is 3 here and None in the store',
            'e is None here and 5 in the store']


@pytest.mark.parametrize('path, root, key', [
    ('data/a/b.jpg', 'data', 'a/b.jpg'), ('data/a/b.jpg', 'data/', 'a/b.jpg'), ('data//a/../b.jpg', 'data', 'b.jpg'),
    ('data2/b.jpg', 'data', 'data2/b.jpg'), ('b.jpg', '', 'b.jpg'), ('/x/b.jpg', 'data', '/x/b.jpg')])
def test_names(path, root, key):
    assert key_of(path, root) == key
