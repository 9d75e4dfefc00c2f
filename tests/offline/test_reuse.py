"""A store from an older one."""
import shutil

import pytest
import torch

from mim_plugins.engine import extraction_runs
from mim_plugins.engine.extraction import Teacher, read_extraction
from mim_plugins.errors import InputError
from mim_plugins.offline import FeatureStore

from .conftest import SHARD, config, make_store, verify, write_pictures


class TestReuse:
    """A store of changed, new and fewer images, from an older one."""

    @pytest.mark.parametrize('dtype', ['float32', 'int8'])
    def test_only_what_is_new_is_looked_at(self, pictures, copied, tmp_path, monkeypatch, dtype):
        old = copied(dtype, 'old')
        folder = shutil.copytree(pictures, tmp_path / 'pictures')
        (folder / 'a/2.png').write_bytes((folder / 'a/4.png').read_bytes())
        shutil.copy(folder / 'b/3.png', folder / 'b/33.png')
        (folder / 'b/5.png').unlink()
        (folder / 'b/7.png').write_bytes(b'')
        seen, plain = [], Teacher.__call__

        def counting(self, images):
            seen.append(len(images))
            return plain(self, images)

        monkeypatch.setattr(Teacher, '__call__', counting)
        extraction = read_extraction(config(folder, tmp_path / 'new'), tmp_path / 'new', dtype, SHARD)
        extraction_runs.run_extraction(extraction, 0, 1, 3, 0, True, old)
        new, whole = FeatureStore(tmp_path / 'new'), FeatureStore(old)
        assert sum(seen) == 1 + 2  # one try of the teacher, then the changed and the new one
        assert list(new.unreadable()) == ['b/7.png'] and 'b/5.png' not in new.names()
        for name in set(new.names()) - {'a/2.png', 'b/33.png', 'b/7.png'}:
            assert all(a is b is None or torch.equal(a, b) for a, b in zip(
                new.read(name), whole.read(name), strict=True))
        changed, like = (new.read(name)[0].float() for name in ('a/2.png', 'a/4.png'))
        torch.testing.assert_close(changed, like, atol=1e-4 if dtype == 'float32' else 1, rtol=1e-4)
        verify(folder, tmp_path / 'new')

    @pytest.mark.parametrize('change, message', [
        (dict(layer=0), 'teacher.layer is 0 here and None in the store'),
        (dict(crop=dict(flip_prob=.5)), r"views is \['identity', 'hflip'\] here"),
    ])
    def test_of_another_kind(self, pictures, copied, tmp_path, change, message):
        old = copied(name='old')
        extraction = read_extraction(config(pictures, tmp_path / 'new', **change), tmp_path / 'new', 'float32', SHARD)
        with pytest.raises(InputError, match=f'old cannot be used again: .*{message}'):
            extraction_runs.run_extraction(extraction, 0, 1, 3, 0, True, old)
        assert not (tmp_path / 'new').exists()

    def test_of_another_calibration(self, pictures, tmp_path):
        """A store that was begun by itself takes nothing that was quantised in another way."""
        old = make_store(write_pictures(tmp_path / 'few', 3, seed=1), tmp_path / 'old', 'int8')
        make_store(pictures, tmp_path / 'new', 'int8', rank=0, processes=2)
        extraction = read_extraction(config(pictures, tmp_path / 'new'), tmp_path / 'new', 'int8', SHARD)
        with pytest.raises(InputError, match='was begun with another calibration than that of'):
            extraction_runs.run_extraction(extraction, 0, 1, 3, 0, True, old)
