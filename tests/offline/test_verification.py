"""Is a store what was written, and what the teacher says?"""
import random
import re
from collections import namedtuple

import numpy as np
import pytest
import torch

from mim_plugins.engine.extraction_runs import print_info
from mim_plugins.errors import InputError
from mim_plugins.offline import Entry, FeatureStore, Manifest, Shard, write_shard
from mim_plugins.offline.verification import LEAST_COSINE, Agreement, compare

from .conftest import contents, make_store, verify, write_pictures


class TestVerification:

    @pytest.mark.parametrize('number', [None, 3])
    @pytest.mark.parametrize('dtype', ['float32', 'int8'])
    def test_good(self, pictures, stores, capsys, dtype, number):
        store = stores(dtype, flipped=True)
        capsys.readouterr()
        verify(pictures, store, number, crop=dict(flip_prob=.5))
        printed = capsys.readouterr().out
        assert ('the checksums of all 10 images agree' in printed) == (number is None)
        assert f'{number or 10} random images against the live teacher' in printed
        cosines = [float(text) for text in re.findall(r'(?:mean|least) ([\d.]+)', printed)]
        assert len(cosines) == 4 and min(cosines) > (.999 if dtype == 'int8' else 1 - 1e-6)

    @pytest.mark.parametrize('seed', range(6))
    def test_a_flipped_bit_is_named_and_made_anew(self, pictures, copied, seed):
        store = copied('int8')
        whole, path = contents(store), store / 'shard-00001.safetensors'
        data = bytearray(path.read_bytes())
        header = int.from_bytes(data[:8], 'little') + 8
        place = random.Random(seed).randrange(header, len(data))
        data[place] ^= 1 << (seed % 8)
        path.write_bytes(data)
        with pytest.raises(InputError, match='shard-00001.safetensors.*the same command without --verify makes it'):
            verify(pictures, store)
        assert not path.exists() and (store / 'shard-00001.safetensors.damaged').exists()
        make_store(pictures, store, 'int8')
        assert {name: value for name, value in contents(store).items() if 'damaged' not in name} == whole

    def test_every_byte_counts(self, copied):
        """No byte of a shard's header or data can change unnoticed."""
        store = copied('int8')
        manifest, path = Manifest.load(store), store / 'shard-00002.safetensors'
        data = path.read_bytes()
        padding = range(8 + len(data[8:8 + int.from_bytes(data[:8], 'little')].rstrip()), 8 + int.from_bytes(
            data[:8], 'little'))
        for place in range(0, len(data), 7):
            if place in padding:
                continue
            path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1:])
            try:
                damaged = Shard(store, 2, manifest).damaged()
            except InputError:
                continue
            assert damaged, place

    def test_a_truncated_shard(self, pictures, copied):
        store = copied()
        path = store / 'shard-00000.safetensors'
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match='shard-00000.safetensors is cut short or damaged'):
            verify(pictures, store)
        assert not path.exists()

    def test_another_teacher(self, pictures, copied):
        with pytest.raises(InputError, match='teacher.layer is 1 here and None in the store'):
            verify(pictures, copied(), layer=1)

    def test_a_changed_image(self, tmp_path):
        folder = write_pictures(tmp_path / 'pictures')
        make_store(folder, tmp_path / 'store')
        (folder / 'a' / '2.png').write_bytes((folder / 'a' / '4.png').read_bytes())
        with pytest.raises(InputError, match='a/2.png has changed since'):
            verify(folder, tmp_path / 'store')

    @pytest.mark.parametrize('noise, raw, normalized', [(0., True, True), (.5, True, False), (50., False, False)])
    def test_features_that_are_not_the_teachers(self, tmp_path, noise, raw, normalized):
        """A large mean hides an error from the plain cosine, not from that of the normalised features."""
        live = 100 + .5 * torch.randn(4, 5, 5, 8)
        stored = live + noise * torch.randn_like(live)
        manifest = Manifest(teacher={}, middle_image={}, channels=8, dtype='float32', views=('identity', ),
                            images=dict(count=4), images_per_shard=4)
        manifest.save(tmp_path)
        samples = [self.Sample(np.zeros((1, 3, 40, 40), np.uint8), f'{place}', bytes(16)) for place in range(4)]
        write_shard(tmp_path, 0, [Entry(sample.name, sample.content, (5, 5), one.flatten(0, 1)) for sample, one in zip(
            samples, stored, strict=True)], manifest)
        result = compare(FeatureStore(tmp_path), iter(samples), lambda images: live[:len(images)], 4)
        cosines = torch.cosine_similarity(live, stored, dim=-1)
        assert result.cosine == pytest.approx((float(cosines.mean()), float(cosines.min())), abs=1e-6)
        assert result.max_error == pytest.approx(float((live - stored).abs().max()), rel=1e-5)
        assert (result.cosine[0] > .999, result.cosine_normalized[0] > .999) == (raw, normalized)
        assert result.good == (raw and normalized)

    Sample = namedtuple('Sample', 'views name content problem', defaults=(None, ))

    def test_a_store_that_is_not_good_enough_ends_with_a_sentence(self, pictures, copied, monkeypatch):
        store = copied()
        monkeypatch.setattr('mim_plugins.offline.verification.LEAST_COSINE', 1.1)
        with pytest.raises(InputError, match='the mean cosine is below'):
            verify(pictures, store)


def test_info_of_a_store_that_is_not_whole(pictures, tmp_path, capsys):
    make_store(pictures, tmp_path / 'store', rank=0, processes=2)
    print_info(tmp_path / 'store')
    printed = capsys.readouterr().out
    assert '2 of 3 shards are whole, with 6 of 10 images' in printed and 'shard-00001.safetensors is missing' in printed


def test_agreement_asks_for_the_mean_and_not_for_each_feature():
    assert Agreement(1, (.9995, .5), (.9995, .5), 0., 1.).good
    assert Agreement(1, (LEAST_COSINE, .5), (LEAST_COSINE, .5), 0., 1.).good
    assert not Agreement(1, (.9995, .5), (.5, .9995), 0., 1.).good
