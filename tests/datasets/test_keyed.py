"""Samples whose randomness and size travel with their index."""
import itertools
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, default_collate
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import KeyedDataset, KeyedInfiniteSampler, KeyedSampler, SampleKey
from mim_plugins.datasets.keyed import seeded
from mim_plugins.errors import InputError
from mim_plugins.registry import DATASETS

CROP = dict(type='mim_plugins.RandomResizedCrop', scale=(12, 20))
PIPELINE = [dict(type='mim_plugins.LoadRGBImage'), CROP, dict(type='RandomFlip', prob=.5), dict(type='PackInputs')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two class folders with five pictures of noise in each."""
    root = tmp_path_factory.mktemp('pictures')
    noise = np.random.default_rng(0)
    for index in range(10):
        path = root / 'ab'[index % 2] / f'{index}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noise.integers(256, size=(30, 40, 3), dtype=np.uint8)).save(path)
    return root


def unlabelled(folder: Path):
    return DATASETS.build(dict(type='mim_plugins.UnlabelledImages', data_root=str(folder), pipeline=PIPELINE))


def labelled(folder: Path):
    return KeyedDataset(dict(type='mmpretrain.CustomDataset', data_root=str(folder), pipeline=PIPELINE))


def epoch_of(dataset, epoch: int = 0, workers: int = 0, size=None, start: str = 'fork') -> list[torch.Tensor]:
    sampler = KeyedSampler(dataset, shuffle=True, seed=3)
    sampler.set_epoch(epoch)
    if size:
        sampler.set_input_size(size)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=default_collate,
                        multiprocessing_context=start if workers else None)
    return [batch['inputs'] for batch in loader]


@pytest.mark.parametrize('make', [unlabelled, labelled])
class TestSamples:

    def test_repeat_and_differ_by_epoch(self, folder, make):
        dataset = make(folder)
        first = epoch_of(dataset)
        assert all(map(torch.equal, epoch_of(make(folder)), first))
        assert not any(map(torch.equal, epoch_of(dataset, epoch=1), first))

    @pytest.mark.processes
    @pytest.mark.parametrize('workers', [1, 2])
    def test_do_not_depend_on_the_number_of_workers(self, folder, make, workers):
        first = epoch_of(make(folder))
        assert all(map(torch.equal, epoch_of(make(folder), workers=workers), first))

    @pytest.mark.processes
    def test_are_the_same_in_a_spawned_worker(self, folder, make):
        dataset = make(folder)
        expected = epoch_of(dataset, size=(8, 16))
        assert all(map(torch.equal, epoch_of(dataset, workers=1, size=(8, 16), start='spawn'), expected))

    def test_leave_the_process_s_own_randomness_alone(self, folder, make):
        dataset = make(folder)

        def draw():
            return random.random(), np.random.rand(), torch.rand(1).item()

        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        untouched = draw()
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        dataset[SampleKey(1, (5, 0))]
        assert draw() == untouched

    def test_depend_on_index_and_seed(self, folder, make):
        dataset = make(folder)
        one = dataset[SampleKey(1, (5, 0))]['inputs']
        assert torch.equal(dataset[SampleKey(1, (5, 0))]['inputs'], one)
        assert not torch.equal(dataset[SampleKey(1, (5, 1))]['inputs'], one)
        assert not torch.equal(dataset[SampleKey(1, (6, 0))]['inputs'], one)

    def test_have_the_size_of_their_key(self, folder, make):
        dataset = make(folder)
        assert [batch.shape[-2:] for batch in epoch_of(dataset, size=(8, 16))] == [(8, 16)] * 5
        assert dataset[SampleKey(0, (0, ))]['inputs'].shape[-2:] == (12, 20)  # the pipeline's own again

    def test_a_plain_index_is_as_before(self, folder, make):
        dataset = make(folder)
        np.random.seed(1), random.seed(1)
        one = dataset[0]['inputs']
        assert not torch.equal(dataset[0]['inputs'], one)  # the process's randomness goes on
        assert dataset[0]['inputs'].shape[-2:] == (12, 20)


class TestSamplers:

    @pytest.mark.parametrize('epoch', [0, 4])
    def test_the_order_is_mmengines(self, epoch):
        ours, theirs = (cls(range(11), shuffle=True, seed=2) for cls in (KeyedSampler, DefaultSampler))
        ours.set_epoch(epoch), theirs.set_epoch(epoch)
        keys = list(ours)
        assert keys == list(theirs) and len(ours) == len(theirs)
        assert {key.seed for key in keys} == {(2, epoch)} and {key.size for key in keys} == {None}

    def test_a_size_set_during_an_epoch_counts_from_the_next_one(self):
        sampler = KeyedSampler(range(3), seed=2)
        keys = iter(sampler)
        sizes = [next(keys).size]
        sampler.set_input_size((8, 16))
        assert sizes + [key.size for key in keys] == [None] * 3
        assert [key.size for key in sampler] == [(8, 16)] * 3

    @pytest.mark.parametrize('ours, theirs, options', [
        (KeyedSampler, DefaultSampler, dict(round_up=True)), (KeyedSampler, DefaultSampler, dict(round_up=False)),
        (KeyedInfiniteSampler, InfiniteSampler, {})])
    def test_each_process_has_its_share_of_mmengines_order(self, monkeypatch, ours, theirs, options):
        for rank in range(3):
            monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 3))
            pair = [itertools.islice(cls(range(11), seed=2, **options), 7) for cls in (ours, theirs)]
            keys, indices = map(list, pair)
            assert keys == indices
            if ours is KeyedInfiniteSampler:
                assert [key.seed for key in keys] == [(2, rank, position) for position in range(7)]

    def test_the_endless_order_is_mmengines_and_resumes(self):
        ours, theirs = (cls(range(5), shuffle=True, seed=2) for cls in (KeyedInfiniteSampler, InfiniteSampler))
        ours.set_size_schedule([(0, (8, 8)), (7, (16, 8))])
        keys = [key for key, _ in zip(ours, range(12), strict=False)]
        assert keys == [index for index, _ in zip(theirs, range(12), strict=False)]
        assert [key.seed for key in keys] == [(2, 0, position) for position in range(12)]
        assert [key.size for key in keys] == [(8, 8)] * 7 + [(16, 8)] * 5
        resumed = KeyedInfiniteSampler(range(5), shuffle=True, seed=2)
        resumed.set_size_schedule([(0, (8, 8)), (7, (16, 8))])
        resumed.skip(6)
        rest = [key for key, _ in zip(resumed, range(6), strict=False)]
        assert [(key, key.seed, key.size) for key in rest] == [(key, key.seed, key.size) for key in keys[6:]]

    @pytest.mark.processes
    def test_sizes_are_told_by_position_though_workers_draw_ahead(self, folder):
        dataset = unlabelled(folder)
        sampler = KeyedInfiniteSampler(dataset, seed=0)
        sampler.set_size_schedule([(0, (8, 8)), (6, (16, 8))])
        loader = DataLoader(dataset, 2, sampler=sampler, num_workers=2, prefetch_factor=4, collate_fn=default_collate)
        sizes = [tuple(batch['inputs'].shape[-2:]) for batch, _ in zip(loader, range(6), strict=False)]
        assert sizes == [(8, 8)] * 3 + [(16, 8)] * 3

    def test_no_size_unless_asked(self):
        sampler = KeyedInfiniteSampler(range(5), seed=0)
        assert next(iter(sampler)).size is None
        sampler = KeyedInfiniteSampler(range(5), seed=0)
        sampler.set_input_size((8, 8))
        assert next(iter(sampler)).size == (8, 8)

    def test_a_schedule_that_comes_too_late_or_falls_is_refused(self):
        sampler = KeyedInfiniteSampler(range(5), seed=0)
        with pytest.raises(InputError, match=r'positions of a schedule of sizes must rise, but are \[4, 4\]'):
            sampler.set_size_schedule([(4, (8, 8)), (4, (16, 16))])
        next(iter(sampler))
        with pytest.raises(InputError, match='before the first sample is drawn or skipped, but 1 have been'):
            sampler.set_input_size((8, 8))


def test_keys_are_indices_and_survive_pickling():
    key = SampleKey(3, (1, 2), (8, 16))
    twin = pickle.loads(pickle.dumps(key))
    assert key == twin == 3 and 'abcd'[twin] == 'd'
    assert (twin.seed, twin.size) == ((1, 2), (8, 16))


def test_wrapped_data_sets_must_be_mmengines():
    with pytest.raises(InputError, match="one of mmengine's data sets, but got ConcatDataset"):
        KeyedDataset(dict(type='ConcatDataset', datasets=[dict(
            type='mmpretrain.CustomDataset', data_root='nowhere', lazy_init=True)], lazy_init=True))


def test_a_pipeline_that_gives_nothing_is_asked_for_another_sample(folder):
    class Nothing:
        """Gives every second picture."""
        keep = staticmethod(lambda results: results['sample_idx'] % 2)

        def __call__(self, results):
            return results if self.keep(results) else None

    dataset = labelled(folder)
    dataset.dataset.pipeline.transforms.insert(0, Nothing())
    first = dataset[SampleKey(0, (5, 0))]['inputs']
    assert torch.equal(dataset[SampleKey(0, (5, 0))]['inputs'], first)
    Nothing.keep = staticmethod(lambda results: False)
    dataset.dataset.max_refetch = 2
    with pytest.raises(InputError, match='the pipeline gave nothing for sample 0 and 2 others'):
        dataset[SampleKey(0, (5, 0))]


def test_contexts_of_seeds_leave_the_numbers_around_them_alone():

    def numbers() -> tuple[float, ...]:
        return random.random(), np.random.rand(), np.random.randint(100), float(torch.rand(()))

    def drawn(inner: bool) -> list[tuple[float, ...]]:
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        found = [numbers()]
        with seeded(SampleKey(3, (0, 1))):
            found.append(numbers())
            if inner:
                with seeded(SampleKey(4, (0, 1))):
                    np.random.randn()
                    assert numbers() not in found
            found.append(numbers())
        return [*found, numbers()]

    assert drawn(inner=True) == drawn(inner=False)
    assert len(set(drawn(inner=True))) == 4
