import pytest
import torch
from mmengine.fileio import get_file_backend

from mim_plugins.engine.checkpoints import check_match, load_weights
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


def test_load_weights(small_model, tmp_path):
    torch.save(dict(state_dict={name: value + 1 for name, value in small_model.state_dict().items()}),
               tmp_path / 'a.pth')
    before = small_model.fill.mask_token.clone()
    load_weights(small_model, tmp_path / 'a.pth')
    assert torch.equal(small_model.fill.mask_token, before + 1)
    with pytest.raises(InputError, match='no checkpoint at no.pth'):
        load_weights(small_model, 'no.pth')


@pytest.mark.parametrize('keep', [0, 400])
def test_a_file_cut_short_is_refused(small_model, tmp_path, keep):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=small_model.state_dict()), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match='a.pth is empty or was cut short'):
        load_weights(small_model, path)
