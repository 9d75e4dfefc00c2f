"""Pictures packed in one file."""
import hashlib
import itertools
import json
import pickle
import runpy
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import mmengine.fileio as fileio
import numpy as np
import pytest
from mmengine.dataset import default_collate
from mmpretrain.datasets import CustomDataset
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedSampler, LoadRGBImage, UnlabelledImages, packed_writing
from mim_plugins.datasets.packed import FORMAT, PackedPictures, is_packed
from mim_plugins.datasets.packed_writing import Packing, PackSettings, packed_file
from mim_plugins.errors import ImageDecodeError, InputError

CROP = dict(type='mim_plugins.LoadAndCrop', crop=dict(type='mim_plugins.CenterCrop', scale=8))
PIPELINE = [CROP, dict(type='PackInputs')]


def write(path: Path, size=(40, 30), **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(256, size=(3, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    turned = Image.Exif()
    turned[0x0112] = 6
    root = tmp_path / 'source'
    write(root / 'b' / 'large.jpg', quality=95)
    write(root / 'b' / 'small.jpg', (20, 16))
    write(root / 'a' / 'turned.jpg', (20, 10), exif=turned)
    write(root / 'a' / 'ü picture 7.png', (15, 12))
    (root / 'a' / 'broken.jpg').write_bytes(b'no picture')
    return root


def need_lmdb() -> None:
    pytest.importorskip('lmdb', reason='lmdb is an extra')


def pack(source: Path, out: Path, workers: int = 1, **settings) -> dict:
    need_lmdb()
    return Packing(source, out, PackSettings(**{'short_side': 16, **settings})).run(workers)


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.mode) == ('JPEG', 'RGB') and not image.getexif()
        return image.size


class TestWriting:

    def test_what_is_packed(self, source, tmp_path):
        manifest = pack(source, tmp_path / 'packed')
        packed = PackedPictures(tmp_path / 'packed')
        assert packed.manifest == manifest
        assert (manifest['count'], manifest['labelled'], manifest['short_side']) == (4, True, 16)
        assert list(manifest['skipped']) == ['a/broken.jpg']
        assert 'not an image of a known kind' in manifest['skipped']['a/broken.jpg']
        assert size_of(packed.read('b/large.jpg')) == (21, 16)
        assert packed.read('b/small.jpg') == (source / 'b' / 'small.jpg').read_bytes()
        assert size_of(packed.read('a/turned.jpg')) == (10, 20)
        assert size_of(packed.read('a/ü picture 7.png')) == (15, 12)  # never enlarged
        assert (tmp_path / 'packed' / 'pictures.txt').read_text() == (
            'a/turned.jpg 0\na/ü picture 7.png 0\nb/large.jpg 1\nb/small.jpg 1\n')

    def test_pixels_are_the_picture_s(self, source, tmp_path):
        pack(source, tmp_path / 'packed', quality=100)
        content = PackedPictures(tmp_path / 'packed').read('a/ü picture 7.png')
        images = [LoadRGBImage()(dict(img_path=str(source / 'a' / 'ü picture 7.png'), **given))['img'].astype(int)
                  for given in ({}, dict(content=content))]
        assert np.abs(images[0] - images[1]).mean() < 8  # colours are stored at half the size
        assert np.abs(images[0] - images[1][..., ::-1]).mean() > 16

    def test_pictures_shrink_smoothly(self, tmp_path):
        noise = np.random.default_rng(0).integers(256, size=(48, 60), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / 'a.png')
        content = packed_file((tmp_path / 'a.png').read_bytes(), PackSettings(16, 100))
        expected = np.asarray(Image.fromarray(noise).resize((20, 16), Image.Resampling.BICUBIC), int)
        with Image.open(BytesIO(content)) as image:
            assert np.abs(np.asarray(image.convert('L')) - expected).mean() < 2

    @pytest.mark.processes
    def test_bytes_are_the_same_for_any_number_of_workers(self, source, tmp_path):
        for name, workers in (('one', 1), ('two', 2)):
            pack(source, tmp_path / name, workers)
        for file in ('data.mdb', 'pictures.txt', 'manifest.json'):
            hashes = {hashlib.sha256((tmp_path / name / file).read_bytes()).digest() for name in ('one', 'two')}
            assert len(hashes) == 1

    def test_nothing_whole_is_left_of_a_run_that_stops(self, source, tmp_path, monkeypatch):
        def stop(*args):
            raise KeyboardInterrupt
        with monkeypatch.context() as patched:
            patched.setattr(Packing, '_write_names', stop)
            with pytest.raises(KeyboardInterrupt):
                pack(source, tmp_path / 'packed')
        assert not (tmp_path / 'packed').exists() and not (tmp_path / 'packed.part').exists()
        pack(source, tmp_path / 'packed')
        assert is_packed(tmp_path / 'packed') and not (tmp_path / 'packed.part').exists()

    def test_pictures_without_classes_have_no_labels(self, tmp_path):
        write(tmp_path / 'flat' / 'a 1.jpg')
        assert not pack(tmp_path / 'flat', tmp_path / 'packed')['labelled']
        assert UnlabelledImages(str(tmp_path / 'packed')).get_data_info(0)['img_path'].endswith('packed/a 1.jpg')

    def test_the_size_is_estimated(self, source, tmp_path, monkeypatch):
        need_lmdb()
        for name in 'ab':  # as many bytes as one another
            write(tmp_path / 'equal' / name / 'a.jpg', (20, 16))
        size = packed_writing.stored_size('a/a.jpg', (tmp_path / 'equal' / 'a' / 'a.jpg').read_bytes())
        for sample in (1, 2, 200):
            monkeypatch.setattr(packed_writing, '_SAMPLE', sample)
            assert Packing(tmp_path / 'equal', tmp_path / 'packed', PackSettings(16)).check_room() == int(2 * size)
        monkeypatch.setattr(packed_writing.shutil, 'disk_usage', lambda folder: type('usage', (), dict(free=10)))
        with pytest.raises(InputError, match='would take about 0.0 MB packed, but 0.0 MB are free at'):
            Packing(source, tmp_path / 'packed', PackSettings(16)).check_room()

    @pytest.mark.parametrize('size', [100, 900, 2000, 2100, 4000, 9000])
    def test_the_estimate_counts_pages(self, tmp_path, monkeypatch, size):
        need_lmdb()
        (tmp_path / 'source').mkdir()
        for number in range(300):
            (tmp_path / 'source' / f'{number:03}.jpg').touch()
        monkeypatch.setattr(packed_writing, '_try_to_pack', lambda name, source, settings: bytes(size))
        packing = Packing(tmp_path / 'source', tmp_path / 'packed', PackSettings())
        estimate = packing.check_room()
        packing.run()
        written = (tmp_path / 'packed' / 'data.mdb').stat().st_size
        assert estimate == pytest.approx(written, rel=.05, abs=5 * 4096)

    @pytest.mark.parametrize('size, told', [(1.5e9, '1.50 GB'), (999e6, '999.0 MB'), (24_576, '0.0 MB')])
    def test_sizes_in_words(self, size, told):
        assert packed_writing.readable_size(size) == told

    def test_the_tool_tells_how_far_it_is(self, source, tmp_path, monkeypatch, capsys):
        need_lmdb()
        tool = runpy.run_path(str(Path(__file__).parents[2] / 'tools' / 'pack_images.py'))
        seconds = itertools.count(0, 15)
        monkeypatch.setitem(tool['main'].__globals__, 'time', SimpleNamespace(monotonic=lambda: next(seconds)))
        monkeypatch.setattr(sys, 'argv', ['pack_images.py', str(source), str(tmp_path / 'packed')])
        tool['main']()
        first, *told, left_out, last = capsys.readouterr().out.splitlines()
        assert first == '5 pictures; estimate: 0.0 MB packed'
        assert told == ['2 of 5 pictures in 30 s', '4 of 5 pictures in 60 s']
        assert left_out.startswith('left out a/broken.jpg: could not read') and last.startswith('4 pictures packed in')

    @pytest.mark.parametrize('settings, reason', [
        (dict(short_side=0), 'at least 1 px, but is 0'), (dict(quality=101), r'in 1..100, but is 101')])
    def test_bad_settings(self, source, tmp_path, settings, reason):
        with pytest.raises(InputError, match=reason):
            pack(source, tmp_path / 'packed', **settings)

    def test_places_that_cannot_be_written(self, source, tmp_path):
        with pytest.raises(InputError, match='source is there already: name another folder'):
            pack(source, source)
        with pytest.raises(InputError, match='packed lies in .*source, which is to be packed: name a folder outside'):
            pack(source, source / 'a' / '..' / 'packed')
        with pytest.raises(InputError, match='there is no folder .*nowhere to write to'):
            pack(source, tmp_path / 'nowhere' / 'packed')

    def test_other_files_are_never_removed(self, source, tmp_path):
        write(tmp_path / 'packed.part' / 'mine.jpg')
        with pytest.raises(InputError, match='packed.part is in the way, with mine.jpg in it'):
            pack(source, tmp_path / 'packed')
        assert (tmp_path / 'packed.part' / 'mine.jpg').exists()

    def test_a_folder_of_nothing_readable(self, tmp_path):
        (tmp_path / 'source').mkdir()
        (tmp_path / 'source' / f'{"a" * 200}.jpg').write_bytes(b'')
        with pytest.raises(InputError, match='none of the 1 pictures in .* could be read'):
            pack(tmp_path / 'source', tmp_path / 'packed')
        assert [path.name for path in tmp_path.iterdir()] == ['source']

    def test_the_name_is_on_the_disk_as_well(self, source, tmp_path, monkeypatch):
        synced = []
        monkeypatch.setattr(packed_writing, 'sync', lambda path: synced.append((path, (tmp_path / 'packed').exists())))
        pack(source, tmp_path / 'packed')
        assert synced == [(tmp_path, True)]


class TestReading:

    @pytest.fixture
    def packed(self, source, tmp_path):
        pack(source, tmp_path / 'packed')
        return tmp_path / 'packed'

    @pytest.mark.parametrize('workers, start', [
        (0, None),
        pytest.param(2, 'fork', marks=pytest.mark.processes),
        pytest.param(1, 'spawn', marks=pytest.mark.processes),
    ])
    def test_samples_are_those_of_the_folder(self, packed, workers, start):
        dataset = UnlabelledImages(str(packed), pipeline=PIPELINE)
        assert len(dataset) == 4 and dataset[0]['data_samples'].img_path == f'{packed}/a/turned.jpg'
        loader = DataLoader(dataset, 2, sampler=KeyedSampler(dataset, shuffle=False), num_workers=workers,
                            collate_fn=default_collate, multiprocessing_context=start)
        shapes = [tuple(batch['inputs'].shape) for batch in loader]
        assert shapes == [(2, 3, 8, 8)] * 2

    def test_two_data_sets_may_read_one_file(self, packed):
        for pipeline in ([LoadRGBImage()], PIPELINE):
            assert UnlabelledImages(str(packed), pipeline=pipeline)[3]

    def test_a_broken_picture_is_named(self, packed):
        lines = (packed / 'pictures.txt').read_text().replace('small', 'gone')
        (packed / 'pictures.txt').write_text(lines)
        dataset = UnlabelledImages(str(packed), pipeline=PIPELINE, max_unreadable=.5)
        assert dataset[3]['data_samples'].sample_idx == 0
        assert dataset.unreadable_files() == [f'{packed}/b/gone.jpg']
        with pytest.raises(ImageDecodeError, match='there is no picture b/gone.jpg in .*packed'):
            pickle.loads(pickle.dumps(PackedPictures(packed))).read('b/gone.jpg')

    def test_mmengine_s_and_mmpretrain_s_own_readers(self, source, tmp_path):
        (source / 'a' / 'ü picture 7.png').unlink()  # theirs take ASCII alone
        pack(source, tmp_path / 'theirs')
        backend = dict(backend='lmdb', db_path=str(tmp_path / 'theirs'))
        dataset = CustomDataset(ann_file=str(tmp_path / 'theirs' / 'pictures.txt'), pipeline=[
            dict(type='LoadImageFromFile', backend_args=backend)], classes=['a', 'b'])
        assert [dataset[index]['gt_label'] for index in range(3)] == [0, 1, 1]
        assert dataset[1]['img'].shape == (16, 21, 3)
        assert fileio.get('b/small.jpg', backend) == (source / 'b' / 'small.jpg').read_bytes()

    def test_options_that_do_not_go_with_it_are_refused(self, packed):
        with pytest.raises(InputError, match='holds packed pictures, which are all used, but ann_file is .*list.txt'):
            UnlabelledImages(str(packed), ann_file='list.txt')
        with pytest.raises(InputError, match='which LoadImageFromFile does not read here: load with'):
            UnlabelledImages(str(packed), pipeline=[dict(type='LoadImageFromFile')])

    @pytest.mark.parametrize('file, content, reason', [
        ('data.mdb', b'', ''), ('data.mdb', b'garbage' * 2000, ''), ('data.mdb', slice(8192), 'data.mdb has 8192 of'),
        ('pictures.txt', b'', '4 pictures are promised, but pictures.txt names 0'),
        ('pictures.txt', b'no_label\n', 'ValueError'), ('pictures.txt', slice(15), 'pictures.txt names 1'),
        ('manifest.json', b'', 'JSONDecodeError'), ('manifest.json', slice(40), 'JSONDecodeError'),
        ('manifest.json', b'[]', 'AttributeError'), ('manifest.json', b'\xff', 'UnicodeDecodeError'),
        ('manifest.json', json.dumps(dict(format=FORMAT, labelled=True)).encode(), "KeyError: 'count'"),
        ('manifest.json', json.dumps(dict(format=FORMAT, labelled=True, count=5)).encode(),
         '5 pictures are promised, but data.mdb has 4')])
    def test_damaged_folders_are_refused(self, packed, file, content, reason):
        damaged = (packed / file).read_bytes()[content] if isinstance(content, slice) else content
        (packed / file).write_bytes(damaged)
        with pytest.raises(InputError, match=f'packed is not whole: pack the pictures again .*{reason}'):
            UnlabelledImages(str(packed))

    @pytest.mark.parametrize('file', ['data.mdb', 'pictures.txt', 'manifest.json'])
    def test_folders_without_a_file_are_refused(self, packed, file):
        (packed / file).unlink()
        with pytest.raises(InputError, match=f'packed holds packed pictures without {file}: pack them again'):
            UnlabelledImages(str(packed))

    def test_other_formats_are_refused(self, packed):
        manifest = json.loads((packed / 'manifest.json').read_text())
        (packed / 'manifest.json').write_text(json.dumps({**manifest, 'format': 'another'}))
        with pytest.raises(InputError, match=r"packed_pictures.v1 in .*packed, found 'another'"):
            UnlabelledImages(str(packed))


def test_without_lmdb(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    (tmp_path / 'packed').mkdir()
    for name in ('data.mdb', 'pictures.txt', 'manifest.json'):
        (tmp_path / 'packed' / name).touch()
    with pytest.raises(InputError, match='packed pictures need the package lmdb: pip install lmdb'):
        UnlabelledImages(str(tmp_path / 'packed'))
    with pytest.raises(InputError, match='packed pictures need the package lmdb: pip install lmdb'):
        Packing(source, tmp_path / 'new', PackSettings(16))
