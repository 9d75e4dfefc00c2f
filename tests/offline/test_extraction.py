"""Filling a store: stops, ranks, broken images, other settings, and how it is verified."""
import multiprocessing
import random
import re
import signal
import time
from collections import namedtuple
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from mim_plugins.engine import extraction_runs
from mim_plugins.engine.extraction import Teacher, read_extraction
from mim_plugins.errors import InputError
from mim_plugins.offline import FeatureStore, Manifest, writing
from mim_plugins.offline.writing import encode, features_of, readable, spread_places

from ..runs import PRELOADED, ROOT
from .conftest import NUMBER, SHARD, VIT, config, contents, make_store, verify, write_pictures


def asking_extraction(pictures: Path, store: Path, asking: Connection) -> None:
    """Extract with a teacher that asks before each batch, so that it cannot run ahead of the one who kills it."""
    torch.set_num_threads(1)
    extraction_runs._CALIBRATION_IMAGES = 6
    plain = Teacher.__call__

    def ask(self: Teacher, images: torch.Tensor) -> torch.Tensor:
        asking.send('batch')
        asking.recv()
        return plain(self, images)

    Teacher.__call__ = ask
    make_store(pictures, store, 'int8')


class TestBytes:
    """The same whatever happened on the way."""

    @pytest.mark.parametrize('dtype', ['int8', 'float16'])
    def test_again(self, pictures, stores, tmp_path, dtype):
        again = contents(make_store(pictures, tmp_path / 'again', dtype))
        assert again == contents(stores(dtype)) and len(again) == 3 + 1 + 1 + (dtype == 'int8')

    def test_shared_by_ranks(self, pictures, stores, tmp_path):
        whole = contents(stores('int8'))
        for rank in (0, 1):
            make_store(pictures, tmp_path / 'two', 'int8', rank=rank, processes=2)
        assert contents(tmp_path / 'two') == whole

    def test_a_lost_shard_of_another_process(self, pictures, copied, tmp_path):
        """The first process is not stopped by what the second one has to make anew."""
        whole = contents(copied())
        path = tmp_path / 'store' / 'shard-00001.safetensors'
        path.write_bytes(path.read_bytes()[:100])
        for rank in (0, 1):
            make_store(pictures, tmp_path / 'store', rank=rank, processes=2)
        assert contents(tmp_path / 'store') == whole

    @pytest.mark.parametrize('lost', [0, 1, 2])
    def test_after_a_lost_shard(self, pictures, copied, lost):
        store = copied()
        whole = contents(store)
        path = store / f'shard-0000{lost}.safetensors'
        path.write_bytes(path.read_bytes()[:-8])
        kept = {name: (store / name).stat().st_mtime_ns for name in whole if name != path.name}
        make_store(pictures, store)
        assert contents(store) == whole
        assert all((store / name).stat().st_mtime_ns == kept[name] for name in kept if name != 'unreadable.txt')

    @pytest.mark.processes
    def test_after_five_kills(self, tmp_path, monkeypatch):
        """SIGKILL at random moments of five attempts; the attempt after them ends with the same bytes."""
        monkeypatch.setattr(extraction_runs, '_CALIBRATION_IMAGES', 6)
        monkeypatch.syspath_prepend(ROOT)
        many = write_pictures(tmp_path / 'many', 60, seed=1)
        whole = contents(make_store(many, tmp_path / 'whole', 'int8'))
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(PRELOADED)
        moments, left = random.Random(0), []
        for _ in range(5):
            ours, theirs = context.Pipe()
            process = context.Process(target=asking_extraction, args=(many, tmp_path / 'killed', theirs))
            process.start()
            theirs.close()
            for _ in range(moments.randrange(1, 8)):  # batches, the first of which tries the teacher
                assert ours.poll(60), 'it does not ask'
                assert ours.recv() == 'batch'  # an EOFError if it ended by itself
                ours.send('go on')
            time.sleep(moments.random() * .05)
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            left.append(len(list((tmp_path / 'killed').glob('shard-*.safetensors'))))
        assert left == sorted(left) and 0 < left[-1] < 15, left
        make_store(many, tmp_path / 'killed', 'int8')
        assert contents(tmp_path / 'killed') == whole


class TestSettings:

    @pytest.mark.parametrize('change, message', [
        (dict(crop=dict(interpolation='bilinear')), "middle_image.interpolation is 'bilinear' here and 'bicubic' in"),
        (dict(crop=dict(flip_prob=.5)), r"views is \['identity', 'hflip'\] here and \['identity'\] in the store"),
        (dict(dtype='float16'), "dtype is 'float16' here and 'float32' in the store"),
        (dict(layer=0), 'teacher.layer is 0 here and None in the store'),
        (dict(teacher_mean=[1.]), r'teacher.mean is \[1.0\] here and \[120.0, 120.0, 120.0\] in the store'),
        (dict(teacher={**VIT, 'layer_cfgs': dict(act_cfg=dict(type='mmpretrain.QuickGELU'))}),
         r"teacher.config.layer_cfgs is \{'act_cfg': \{'type': 'mmpretrain.QuickGELU'\}\} here and None in the store"),
    ])
    def test_of_another_store_in_the_same_folder(self, pictures, copied, tmp_path, change, message):
        before = contents(copied())
        with pytest.raises(InputError, match=f'holds another store: .*{message}.*take another'):
            make_store(pictures, tmp_path / 'store', **change)
        assert contents(tmp_path / 'store') == before

    @pytest.mark.parametrize('where, change, message', [
        ('model', dict(data_preprocessor=dict(to_rgb=False)), 'teacher.sees.to_rgb is False here and True in'),
        ('loader', dict(order='rgb'), "teacher.sees.loading is .*'order': 'rgb'.* here and .* in the store"),
    ])
    def test_of_other_colours(self, pictures, copied, tmp_path, where, change, message):
        copied()
        cfg = config(pictures, tmp_path / 'store')
        (cfg.model if where == 'model' else cfg.train_dataloader.dataset.pipeline[0]).update(change)
        extraction = read_extraction(cfg, tmp_path / 'store', 'float32', SHARD)
        with pytest.raises(InputError, match=message):
            extraction_runs.run_extraction(extraction, 0, 1, 3, 0, True)

    def test_a_lost_manifest_does_not_mix_calibrations(self, pictures, copied, tmp_path):
        whole = contents(make_store(pictures, tmp_path / 'plain', 'int8', calibrated=False))
        copied('int8')
        (tmp_path / 'store' / 'manifest.json').unlink()
        make_store(pictures, tmp_path / 'store', 'int8', calibrated=False)
        (tmp_path / 'store' / 'calibration.safetensors').unlink()
        assert contents(tmp_path / 'store') == whole

    @pytest.mark.parametrize('teacher, message', [
        (dict(channels=17), 'was said to give 17 channels'), (dict(teacher_patch=16), 'channels on a grid of 6x6'),
        (dict(teacher_std=[0.]), 'values that are not finite'),
        (dict(teacher_mean=[1., 2.]), 'must have one number or as many as each other, but have 2 and 3'),
        (dict(teacher_patch=-8), "teacher_patch must be a positive whole number, but is -8"),
        (dict(layer='last'), "layer must be a whole number, but is 'last'"),
        (dict(teacher_mean='imagenet'), "teacher_mean must hold numbers, but is 'imagenet'"),
    ])
    def test_of_a_teacher_that_does_not_give_what_was_said(self, pictures, tmp_path, teacher, message):
        with pytest.raises(InputError, match=message):
            make_store(pictures, tmp_path / 'store', **teacher)
        assert not (tmp_path / 'store').exists()

    def test_a_file_in_the_place_of_the_store(self, pictures, tmp_path):
        (tmp_path / 'store').write_text('x')
        with pytest.raises(InputError, match='the store .*store cannot be made: File exists'):
            make_store(pictures, tmp_path / 'store')

    def test_a_folder_of_something_else(self, pictures, tmp_path):
        before = contents(write_pictures(tmp_path / 'other') / 'a')
        with pytest.raises(InputError, match='is no store and holds other files, as .*png: take a folder of its own'):
            make_store(pictures, tmp_path / 'other' / 'a')
        assert contents(tmp_path / 'other' / 'a') == before

    def test_two_extractions_at_a_time(self, pictures, copied, tmp_path, monkeypatch):
        monkeypatch.setattr(writing, '_LOCK_PATIENCE', 0)
        copied()
        with writing.at_work(tmp_path / 'store', 0), pytest.raises(InputError, match='another extraction is at work'):
            make_store(pictures, tmp_path / 'store')
        make_store(pictures, tmp_path / 'store')

    def test_of_other_images(self, copied, tmp_path):
        copied()
        other = write_pictures(tmp_path / 'other', NUMBER - 1)
        with pytest.raises(InputError, match='images.count is 9 here and 10 in the store'):
            make_store(other, tmp_path / 'store')

    def test_of_another_calibration(self, pictures, copied, tmp_path):
        copied('int8')
        with pytest.raises(InputError, match='holds a store with calibration of its channels'):
            make_store(pictures, tmp_path / 'store', 'int8', calibrated=False)

    @pytest.mark.parametrize('change, message', [
        (lambda cfg: cfg.pop('teacher'), 'the config names no teacher'),
        (lambda cfg: cfg.teacher.update(cell=16, teacher=dict(cfg.teacher.teacher, patch_size=16)),
         r'features of 16 px \(cell\), but crops lie on a grid of 8 px'),
        (lambda cfg: setattr(cfg, 'teacher', dict(type='mim_plugins.HOGTarget')),
         'must be a mim_plugins.TeacherTarget, but'),
        (lambda cfg: cfg.train_dataloader.dataset.pipeline.pop(1), 'one mim_plugins.GridAlignedCrop, but has 0: Load'),
        (lambda cfg: cfg.train_dataloader.dataset.pipeline.pop(2), 'one mim_plugins.LoadOfflineTarget, but has 0'),
        (lambda cfg: cfg.teacher.update(random_weights=False), 'a teacher needs either a checkpoint'),
        (lambda cfg: cfg.train_dataloader.dataset.pipeline.insert(1, dict(type='RandomFlip', prob=1.)),
         'nothing but loading may come before GridAlignedCrop, but there is RandomFlip'),
    ])
    def test_a_config_that_does_not_say_enough(self, pictures, tmp_path, change, message):
        cfg = config(pictures, tmp_path)
        change(cfg)
        with pytest.raises(InputError, match=message):
            read_extraction(cfg, tmp_path, 'float32', SHARD)

    def test_the_disk_is_too_small(self, pictures, tmp_path, monkeypatch):
        usage = namedtuple('usage', 'free')
        monkeypatch.setattr(writing.shutil, 'disk_usage', lambda path: usage(10_000))
        with pytest.raises(InputError, match=r'the store needs 24.\d* kB, but 10 kB are free at .*: nothing was wri'):
            make_store(pictures, tmp_path / 'deep' / 'store')
        assert not (tmp_path / 'deep').exists()

    def test_the_size_is_told_before(self, pictures, tmp_path, capsys):
        make_store(pictures, tmp_path / 'store', 'int8', crop=dict(flip_prob=.5))
        printed = capsys.readouterr().out
        assert printed.startswith('10 images x 36 cells x 16 channels x 2 views in int8: 15.68 kB\n')  # with index
        assert 'calibrating the channels on 10 images' in printed and 'is whole: 10 images' in printed

    def test_waits_for_the_first_process(self, pictures, tmp_path, monkeypatch):
        monkeypatch.setattr(writing, '_PATIENCE', .1)
        with pytest.raises(InputError, match='the first process left no manifest in'):
            make_store(pictures, tmp_path / 'store', rank=1, processes=2)


class TestUnreadable:

    @pytest.fixture
    def broken(self, tmp_path):
        folder = write_pictures(tmp_path / 'broken')
        (folder / 'a' / '0.png').write_bytes(b'no picture')
        (folder / 'b' / '5.png').write_bytes((folder / 'b' / '5.png').read_bytes()[:60])
        return folder

    @pytest.mark.parametrize('dtype', ['float32', 'int8', 'bfloat16'])
    def test_is_listed(self, broken, tmp_path, capsys, dtype):
        store = FeatureStore(make_store(broken, tmp_path / 'store', dtype))
        assert set(store.unreadable()) == {'a/0.png', 'b/5.png'}
        lines = (tmp_path / 'store' / 'unreadable.txt').read_text().splitlines()
        assert [line.split('\t')[0] for line in lines] == ['a/0.png', 'b/5.png']
        printed = capsys.readouterr().out
        assert re.search('no features: could not read the image .*a/0.png', printed)
        assert '2 of them could not be read and have no features (a/0.png, b/5.png)' in printed
        with pytest.raises(InputError, match='no features of b/5.png, which could not be read when it was made: could'):
            store.read('b/5.png')
        assert store.read('b/3.png')[0].shape == (6, 6, 16)

    def test_verification_leaves_it_out(self, broken, tmp_path, capsys):
        make_store(broken, tmp_path / 'store')
        verify(broken, tmp_path / 'store')
        assert '8 random images against the live teacher' in capsys.readouterr().out

    def test_all(self, tmp_path):
        folder = write_pictures(tmp_path / 'broken', 2)
        for path in folder.rglob('*.png'):
            path.write_bytes(b'')
        with pytest.raises(InputError, match='none of the 2 images can be read'):
            make_store(folder, tmp_path / 'store')


class TestBatches:
    Sample = namedtuple('Sample', 'views name content', defaults=('x', b''))

    def test_of_one_shape_and_size(self):
        shapes = [(1, 3, 4, 4), (1, 3, 4, 8), (1, 3, 4, 4), (1, 3, 4, 4), (1, 3, 4, 8), (1, 3, 4, 4)]
        samples = [(place, self.Sample(np.full(shape, place, np.uint8))) for place, shape in enumerate(shapes)]
        sizes, found = [], {}

        def teacher(images):
            sizes.append(tuple(images.shape))
            return images.float().mean((1, 2, 3))[:, None, None, None]

        for group, features in features_of(iter(samples), teacher, 3):
            found.update({place: float(one) for (place, _), one in zip(group, features, strict=True)})
        assert found == {place: place for place in range(6)}
        assert sizes == [(3, 3, 4, 4), (2, 3, 4, 8), (1, 3, 4, 4)]

    def test_all_views_of_an_image_together(self):
        samples = [(place, self.Sample(np.full((2, 3, 4, 4), place, np.uint8))) for place in range(3)]
        sizes = []
        for group, features in features_of(iter(samples), lambda images: (
                sizes.append(len(images)), torch.zeros(len(images), 2, 2, 5))[1], 4):
            assert features.shape == (len(group), 2, 2, 2, 5)
        assert sizes == [4, 2]

    @pytest.mark.parametrize('value, dtype, message', [
        (float('nan'), 'float32', 'values that are not finite for x'), (1e6, 'float16', 'reach 1000000, beyond what'),
        (float('inf'), 'int8', 'not finite')])
    def test_values_that_cannot_be_stored(self, value, dtype, message):
        manifest = Manifest(teacher={}, middle_image={}, channels=2, dtype=dtype, views=('identity', ),
                            images=dict(count=1), images_per_shard=1)
        with pytest.raises(InputError, match=message):
            list(encode([(0, self.Sample(None))], torch.full((1, 1, 2, 2, 2), value), manifest, None))


@pytest.mark.parametrize('count, number, places', [
    (10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (1, 5, [0]), (5, 1, [0]), (2, 2, [0, 1])])
def test_places_spread_over_all(count, number, places):
    assert spread_places(count, number) == places


@pytest.mark.parametrize('number, text', [(12, '12 bytes'), (1500, '1.5 kB'), (253_200_000_000, '253.2 GB'),
                                          (2.5e15, '2500 TB')])
def test_sizes_to_read(number, text):
    assert readable(number) == text


@pytest.mark.gpu
def test_a_gpu_stores_the_same_features(pictures, tmp_path, monkeypatch):
    on_gpu = FeatureStore(make_store(pictures, tmp_path / 'gpu', crop=dict(flip_prob=.5)))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    on_cpu = FeatureStore(make_store(pictures, tmp_path / 'cpu', crop=dict(flip_prob=.5)))
    for name in on_cpu.names():
        for view in ('identity', 'hflip'):
            torch.testing.assert_close(
                on_gpu.read(name, view=view)[0], on_cpu.read(name, view=view)[0], atol=2e-2, rtol=2e-2)
