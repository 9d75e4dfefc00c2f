"""TargetStoreHook: a resumed run goes on with the stored features that it began with."""
from types import SimpleNamespace

import pytest

from mim_plugins.datasets import LoadOfflineTarget
from mim_plugins.engine.hooks import TargetStoreHook
from mim_plugins.errors import InputError


class Read(LoadOfflineTarget):
    """As if it had opened a store."""

    def __init__(self, **teacher: object) -> None:
        self.store = SimpleNamespace(manifest=SimpleNamespace(
            teacher=dict(name='A', **teacher), middle_image=dict(size=[48, 48])))


def runner(*steps: object, resume: bool = True, nested: bool = False) -> SimpleNamespace:
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=steps))
    dataset = SimpleNamespace(datasets=[SimpleNamespace(dataset=dataset)]) if nested else dataset
    return SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), _resume=resume)


def saved(*steps: object, **options: object) -> dict:
    checkpoint = dict(meta={})
    TargetStoreHook().before_save_checkpoint(runner(*steps, **options), checkpoint)
    return checkpoint


@pytest.mark.parametrize('nested', [False, True])
def test_the_same_store_goes_on(nested):
    checkpoint = saved(object(), Read(sha256='1'), nested=nested)
    assert checkpoint['meta']['target_store'][0]['teacher'] == dict(name='A', sha256='1')
    TargetStoreHook().after_load_checkpoint(runner(Read(sha256='1')), checkpoint)


def test_runs_without_a_store_are_left_alone():
    checkpoint = saved(object())
    assert checkpoint == dict(meta={})
    TargetStoreHook().after_load_checkpoint(runner(), checkpoint)


@pytest.mark.parametrize('before, now, message', [
    ([Read(sha256='1')], [Read(sha256='2')], "teacher.sha256 is '2' here and '1' in the checkpoint"),
    ([Read(sha256='1')], [], 'was trained on 1 stores of features, but the config reads 0'),
    ([], [Read(sha256='1')], 'was trained on 0 stores of features, but the config reads 1'),
])
def test_another_one_is_refused_at_a_resume_alone(before, now, message):
    with pytest.raises(InputError, match=message):
        TargetStoreHook().after_load_checkpoint(runner(*now), saved(*before))
    TargetStoreHook().after_load_checkpoint(runner(*now, resume=False), saved(*before))
