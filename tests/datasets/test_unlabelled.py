import gc
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mim_plugins.datasets import UnlabelledImages, unlabelled
from mim_plugins.errors import InputError, UnreadableImagesError
from mim_plugins.registry import DATASETS

LOAD = dict(type='mim_plugins.LoadRGBImage')


def write_image(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (6, 4), (value, value, value)).save(path, format='PNG')


def names(dataset, root):
    return [os.path.relpath(dataset.get_data_info(i)['img_path'], root)
            for i in range(len(dataset))]


def value_of(sample):
    return int(sample['img'][0, 0, 0])


@pytest.fixture
def quick_shutdown(monkeypatch):
    # A loader that failed waits this long, 5 s, for each of its workers when it is dropped.
    monkeypatch.setattr(torch.utils.data._utils, 'MP_STATUS_CHECK_INTERVAL', 0.2)
    yield
    gc.collect()


@pytest.fixture
def numbered(tmp_path):
    """Makes a folder of pictures 000.png, 001.png, … of the grey value of their number."""
    def make(count, broken=()):
        for number in range(count):
            path = tmp_path / 'images' / f'{number:03d}.png'
            write_image(path, number)
            if number in broken:
                path.write_bytes(path.read_bytes()[:40])
        return str(tmp_path / 'images')
    return make


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(unlabelled, 'print_log', lambda text, **_: lines.append(text))
    return lines


def test_flat_folder(numbered):
    root = numbered(5)
    dataset = DATASETS.build(
        dict(type='mim_plugins.UnlabelledImages', data_root=root, pipeline=[LOAD]))
    assert names(dataset, root) == [f'{i:03d}.png' for i in range(5)]
    sample = dataset[3]
    assert value_of(sample) == 3 and sample['sample_idx'] == 3
    assert sample['img'].shape == (4, 6, 3)
    assert dataset.get_data_info(-1) == dict(img_path=f'{root}/004.png', sample_idx=4)
    assert dataset.unreadable_files() == []


def test_nested_folders_and_extensions(tmp_path):
    wanted = ['a.JPG', 'b/c.jpeg', 'b/d/e/f.Png', 'g.webp', 'h.tif', 'z z/1.gif', 'ü/ж.bmp']
    for name in wanted:
        write_image(tmp_path / name)
    for name in ['.hidden.png', '.git/x.png', 'b/._c.jpeg', 'notes.txt', 'b/list.json', 'png']:
        write_image(tmp_path / name)
    assert names(UnlabelledImages(str(tmp_path)), tmp_path) == wanted
    assert names(UnlabelledImages(str(tmp_path), extensions=('.JPG',)), tmp_path) == ['a.JPG']
    below = UnlabelledImages(str(tmp_path), data_prefix='b')
    assert names(below, tmp_path) == ['b/c.jpeg', 'b/d/e/f.Png']


def test_links_are_followed_without_going_in_circles(tmp_path):
    root = tmp_path / 'root'
    write_image(root / 'a/1.png')
    write_image(tmp_path / 'elsewhere/2.png')
    write_image(tmp_path / '3.png')
    (root / 'a/up').symlink_to(root)
    (root / 'a/self').symlink_to(root / 'a')
    (root / 'b').symlink_to(tmp_path / 'elsewhere')
    (root / 'c.png').symlink_to(tmp_path / '3.png')
    (root / 'gone.png').symlink_to(tmp_path / 'nothing.png')
    dataset = UnlabelledImages(str(root), pipeline=[LOAD], max_unreadable=0.5)
    assert names(dataset, root) == ['a/1.png', 'b/2.png', 'c.png', 'gone.png']
    assert dataset[3]['sample_idx'] == 0
    assert dataset.unreadable_files() == [str(root / 'gone.png')]


def test_list_file(tmp_path):
    write_image(tmp_path / 'train/a/1.png', 1)
    write_image(tmp_path / 'train/two words 2.png', 2)
    write_image(tmp_path / 'far/3', 3)
    (tmp_path / 'meta').mkdir()
    (tmp_path / 'meta/train.txt').write_text(
        f'# pictures\n\ntwo words 2.png 17\n  a/1.png\t0\r\n{tmp_path}/far/3\n')
    dataset = UnlabelledImages(
        str(tmp_path), ann_file='meta/train.txt', data_prefix='train', pipeline=[LOAD])
    assert [value_of(dataset[i]) for i in range(3)] == [2, 1, 3]
    (tmp_path / 'absolute.txt').write_text(f'{tmp_path}/far/3\n')
    alone = UnlabelledImages(ann_file=str(tmp_path / 'absolute.txt'), pipeline=[LOAD])
    assert value_of(alone[0]) == 3


def test_list_file_with_missing_entries(tmp_path):
    write_image(tmp_path / 'here.png')
    (tmp_path / 'list.txt').write_text('here.png\n' + ''.join(f'gone/{i}.png\n' for i in range(5)))
    with pytest.raises(InputError) as error:
        UnlabelledImages(str(tmp_path), ann_file='list.txt')
    assert str(error.value) == (
        f'5 of the 6 files listed in {tmp_path}/list.txt do not exist below {tmp_path}: '
        'gone/0.png, gone/1.png, gone/2.png and 2 more')


@pytest.mark.parametrize('arguments, message', [
    ({}, 'expected data_root .* or ann_file .* got neither'),
    (dict(data_root='{}/nowhere'), 'expected a folder of images at .*/nowhere, found nothing'),
    (dict(data_root='{}/file.txt'), 'expected a folder of images at .*/file.txt, found a file'),
    (dict(data_root='{}/empty'), r'expected images \(.jpg, .* in or below .*/empty, found none'),
    (dict(data_root='{}', ann_file='no.txt'), 'expected a list of image files at .*/no.txt: No su'),
    (dict(data_root='{}', ann_file='file.txt'), 'expected one image path a line in .*/file.txt'),
    (dict(data_root='{}', max_unreadable=1.5), 'max_unreadable must be a share .* got 1.5'),
])
def test_bad_input_gets_a_sentence(tmp_path, arguments, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file.txt').write_text('# nothing\n\n')
    arguments = {
        k: v.format(tmp_path) if isinstance(v, str) else v for k, v in arguments.items()}
    with pytest.raises(InputError, match=message) as error:
        UnlabelledImages(**arguments)
    assert '\n' not in str(error.value)


def test_lazy_init_and_subsets(numbered, tmp_path):
    root = numbered(6)
    lazy = UnlabelledImages(str(tmp_path / 'nowhere'), lazy_init=True)
    with pytest.raises(InputError, match='nowhere'):
        len(lazy)
    dataset = UnlabelledImages(root, lazy_init=True)
    assert len(dataset) == 6
    assert names(dataset.get_subset([4, 1]), root) == ['004.png', '001.png']
    dataset.get_subset_(4)
    assert names(dataset, root) == ['000.png', '001.png', '002.png', '003.png']
    for indices, expected in ((2, '01'), (6, '012345'), (9, '012345'), (-2, '45'), ([5, 0], '50')):
        chosen = UnlabelledImages(root, indices=indices)
        assert names(chosen, root) == [f'00{i}.png' for i in expected]


def test_subset_keeps_its_own_record(numbered, logged):
    dataset = UnlabelledImages(numbered(4, broken=[2]), pipeline=[LOAD], max_unreadable=0.5)
    subset = dataset.get_subset([2, 3])
    assert value_of(subset[0]) == 3
    assert len(subset.unreadable_files()) == 1 and dataset.unreadable_files() == []


def test_broken_file_is_named_once_and_replaced_by_the_next(numbered, logged):
    root = numbered(10, broken=[3, 4, 9])
    dataset = UnlabelledImages(root, pipeline=[LOAD], max_unreadable=0.3)
    for _ in range(3):
        samples = [dataset[i] for i in range(10)]
        assert [value_of(s) for s in samples] == [0, 1, 2, 5, 5, 5, 6, 7, 8, 0]
        assert [s['sample_idx'] for s in samples] == [value_of(s) for s in samples]
    broken = [f'{root}/{name}.png' for name in ('003', '004', '009')]
    assert dataset.unreadable_files() == broken
    assert len(logged) == 3
    assert all(name in line for name, line in zip(broken, logged))


def test_too_many_broken_files_stop_training(numbered, logged):
    root = numbered(20, broken=[1, 5, 7])
    dataset = UnlabelledImages(root, pipeline=[LOAD], max_unreadable=0.1)
    assert [value_of(dataset[i]) for i in (1, 5)] == [2, 6]
    with pytest.raises(UnreadableImagesError) as error:
        dataset[7]
    assert str(error.value) == (
        '3 of 20 files could not be read, more than max_unreadable = 0.1 allows: '
        f'{root}/001.png, {root}/005.png, {root}/007.png')


def test_all_files_broken(numbered, logged):
    root = numbered(3, broken=range(3))
    with pytest.raises(InputError, match='1 of 3 files could not be read'):
        UnlabelledImages(root, pipeline=[LOAD])[0]
    with pytest.raises(InputError, match='none of the 3 files could be read'):
        UnlabelledImages(root, pipeline=[LOAD], max_unreadable=1.0)[0]


def test_each_rank_judges_by_its_share(numbered, logged, monkeypatch):
    """With 10 ranks, a rank that sees 10 of 100 files and cannot read 2 must not wait for 10."""
    monkeypatch.setattr(unlabelled, 'get_world_size', lambda: 10)
    root = numbered(100, broken=[0, 10, 20])
    dataset = UnlabelledImages(root, pipeline=[LOAD], max_unreadable=0.1)
    dataset[0]
    with pytest.raises(UnreadableImagesError, match='2 of 10 files'):
        dataset[10]
    # Once it has seen more, the share of what it has seen counts.
    dataset = UnlabelledImages(root, pipeline=[LOAD], max_unreadable=0.1)
    for index in [0, *range(50, 78), 10, 20]:
        dataset[index]
    assert len(dataset.unreadable_files()) == 3


def fail(results):
    raise ValueError('a mistake in a transform')


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.processes)])
def test_other_errors_are_not_hidden(numbered, quick_shutdown, workers):
    dataset = UnlabelledImages(numbered(3), pipeline=[LOAD, fail], max_unreadable=1.0)
    loader = DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate)
    with pytest.raises(ValueError, match='a mistake in a transform') as error:
        next(iter(loader))
    assert type(error.value) is ValueError
    assert dataset.unreadable_files() == []


@pytest.mark.parametrize('context', [
    None,
    pytest.param('fork', marks=pytest.mark.processes),
    pytest.param('spawn', marks=pytest.mark.processes),
])
def test_workers_share_one_record(numbered, quick_shutdown, context):
    root = numbered(24, broken=[0, 5, 6, 23])
    dataset = UnlabelledImages(root, pipeline=[LOAD], max_unreadable=0.2)
    workers = dict(num_workers=2, multiprocessing_context=context, persistent_workers=True)
    loader = DataLoader(
        dataset, batch_size=4, collate_fn=pseudo_collate, **(workers if context else {}))
    expected = [1, 1, 2, 3, 4, 7, 7, *range(7, 23), 1]
    for _ in range(2):
        batches = list(loader)
        assert [int(i[0, 0, 0]) for batch in batches for i in batch['img']] == expected
    broken = [f'{root}/{n:03d}.png' for n in (0, 5, 6, 23)]
    assert dataset.unreadable_files() == broken

    # The fifth of 24 is too many; the error's one line survives the way out of the worker.
    with open(f'{root}/010.png', 'wb'):
        pass
    with pytest.raises(UnreadableImagesError) as error:
        list(loader)
    assert str(error.value) == (
        '5 of 24 files could not be read, more than max_unreadable = 0.2 allows: '
        f'{broken[0]}, {broken[1]}, {broken[2]} and 2 more')


def test_paths_take_little_memory_and_pickle(tmp_path):
    for number in range(200):
        write_image(tmp_path / f'class_{number % 10}' / f'picture_{number}.png')
    dataset = UnlabelledImages(str(tmp_path))
    assert dataset.data_bytes.nbytes + dataset.data_address.nbytes < 200 * 40
    assert dataset.data_list == []
    assert dataset.data_bytes.dtype == np.uint8
    copy = pickle.loads(pickle.dumps(dataset))
    assert names(copy, tmp_path) == names(dataset, tmp_path)


def test_record_is_shared_memory(numbered):
    dataset = UnlabelledImages(numbered(3))
    shared = [value for value in vars(dataset).values() if isinstance(value, torch.Tensor)]
    assert len(shared) == 1 and shared[0].is_shared() and shared[0].dtype == torch.uint8
