import pytest
import torch
from mmengine.fileio import get_file_backend

from mim_plugins.checkpoints import check_match, latest_checkpoint, load_checkpoint
from mim_plugins.engine.hooks import AtomicCheckpointHook
from mim_plugins.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    backend = get_file_backend(backend_args=AtomicCheckpointHook(interval=1).backend_args)
    path = tmp_path / 'new' / 'epoch_1.pth'
    backend.put(b'old', path)

    def full(_) -> None:
        raise OSError('no space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='no space left'):
        backend.put(b'new and longer', path)
    assert path.read_bytes() == b'old' and list(path.parent.iterdir()) == [path]


def test_another_storage_is_left_alone():
    assert AtomicCheckpointHook(interval=1, backend_args=dict(backend='local')).backend_args == dict(backend='local')


@pytest.mark.parametrize('change, message', [
    (lambda w: w.pop('1.weight'), r'of 3 tensors, 1 missing \(first: 1.weight\)'),
    (lambda w: w.update(extra=torch.zeros(1)), r'1 unknown \(first: extra\)'),
    (lambda w: w.update({'0.bias': torch.zeros(9)}), r'1 of another shape \(first: 0.bias \(9,\) instead of \(3,\)\)'),
])
def test_every_kind_of_mismatch_is_named(change, message):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1, bias=False))
    weights = dict(model.state_dict())
    check_match(model, weights, 'here')
    change(weights)
    with pytest.raises(InputError, match=f'the checkpoint here does not match the model: .*{message}'):
        check_match(model, weights, 'here')


def test_load_checkpoint(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(1)), meta={}), tmp_path / 'a.pth')
    assert load_checkpoint(tmp_path / 'a.pth')['state_dict'] == dict(a=torch.ones(1))
    torch.save(dict(a=torch.ones(1)), tmp_path / 'b.pth')
    with pytest.raises(InputError, match='b.pth is no checkpoint of a training'):
        load_checkpoint(tmp_path / 'b.pth')
    with pytest.raises(InputError, match='no checkpoint at no.pth'):
        load_checkpoint('no.pth')


def test_the_latest_checkpoint_is_found_after_a_move(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text('/old/place/epoch_2.pth')
    assert str(latest_checkpoint(tmp_path)) == '/old/place/epoch_2.pth'
    (tmp_path / 'epoch_2.pth').touch()
    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'


@pytest.mark.parametrize('change', [lambda data: b'', lambda data: data[:400], lambda data: b'some text'])
def test_what_is_no_whole_checkpoint_is_refused(small_model, tmp_path, change):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=small_model.state_dict(), meta={}), path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match='a.pth is not a checkpoint, or one that was cut short'):
        load_checkpoint(path)


def test_misspelt_options_of_the_hook_are_refused():
    with pytest.raises(InputError, match='intervall'):
        AtomicCheckpointHook(intervall=3)
