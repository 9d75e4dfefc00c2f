"""Pictures and held-out losses of models whose target is stored, or a teacher's of middle images."""
import copy
import shutil

import pytest
import torch

from mim_plugins.analysis.held_out import held_out_loss
from mim_plugins.analysis.target_images import target_batches
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

from .conftest import config


@pytest.fixture
def run(small_config, pictures, flipped_store):
    """A model and the config of its run, on the store with both views."""
    cfg = config(pictures, flipped_store, dict(flip_prob=.5))
    small_config.update(target_generator=dict(type='mim_plugins.OfflineTarget', channels=16, cell=8))
    model = MODELS.build(small_config)
    model.init_weights()
    return model.eval(), cfg


def names(pictures) -> list:
    return [pictures / name for name in ('a/0.png', 'b/3.png', 'a/8.png')]


def test_features_of_the_centre_come_from_the_store(run, pictures):
    model, cfg = run
    batches = list(target_batches(model, names(pictures), 2, cfg))
    assert [(start, len(batch['inputs'])) for start, batch in batches] == [(0, 2), (2, 1)]
    from mim_plugins.offline import FeatureStore
    expected = FeatureStore(cfg.train_dataloader.dataset.pipeline[2].store).read('a/0.png', (1, 1, 5, 5))[0]
    assert torch.equal(batches[0][1]['target_inputs']['features'][0], expected)


@pytest.mark.parametrize('gone', ['image', 'store'])
def test_else_the_live_teacher_is_asked(run, pictures, tmp_path, gone):
    """The same pictures where the store does not know them, or is gone, give the same loss."""
    model, cfg = run
    expected = held_out_loss(model, names(pictures), cfg)
    if gone == 'store':
        cfg.train_dataloader.dataset.pipeline[2].store = str(tmp_path / 'nowhere')
        found = held_out_loss(model, names(pictures), cfg)
    else:
        elsewhere = shutil.copytree(pictures, tmp_path / 'copy')
        found = held_out_loss(model, names(elsewhere), cfg)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('change, message', [
    (lambda cfg: cfg.pop('teacher'), 'is not in the store .*; nor can its teacher be asked: the config names none'),
    (lambda cfg: cfg.teacher.update(random_weights=False, checkpoint='gone.pth'),
     'nor can its teacher be asked: no checkpoint at gone.pth'),
    (lambda cfg: cfg.train_dataloader.dataset.pipeline.pop(1), 'by the GridAlignedCrop of its config'),
])
def test_features_that_are_not_to_be_had(run, pictures, tmp_path, change, message):
    model, cfg = run
    elsewhere = shutil.copytree(pictures, tmp_path / 'copy')
    cfg = copy.deepcopy(cfg)
    change(cfg)
    with pytest.raises(InputError, match=message):
        next(target_batches(model, names(elsewhere), 2, cfg))


def test_a_teacher_of_middle_images_gets_them(small_config, pictures, stores):
    cfg = config(pictures, stores())
    online = {**cfg.teacher, 'from_middle': True, 'norm': 'patch'}
    losses = []
    for target in (dict(type='mim_plugins.OfflineTarget', channels=16, cell=8), online):
        torch.manual_seed(0)
        model = MODELS.build({**small_config, 'target_generator': target})
        model.init_weights()
        losses.append(held_out_loss(model.eval(), names(pictures), cfg))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
