"""No training step waits for the device between two lines of the log."""
import itertools
from argparse import Namespace
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop, Runner

from mim_plugins.engine import launch

from ..runs import DEMO
from ..syncs import watched_syncs

RECIPES = sorted(DEMO.parent.glob('*.py'))
NUMBER = itertools.count()
VALUES = torch.arange(6.)
MASK = VALUES > 2


@pytest.mark.parametrize('planted', [
    lambda: VALUES.sum().item(),
    lambda: float(VALUES[0]),
    lambda: bool((VALUES > 2).any()),
    lambda: [0, 1, 2][VALUES.long()[1]],
    lambda: VALUES.tolist(),
    lambda: VALUES.numpy(),
    lambda: np.asarray(VALUES),
    lambda: VALUES.cpu(),
    lambda: VALUES[MASK],
    lambda: VALUES.clone().__setitem__(MASK, torch.zeros(3)),
    lambda: VALUES.masked_select(MASK),
    lambda: MASK.nonzero(),
    lambda: torch.where(MASK),
    lambda: VALUES.unique(),
    lambda: VALUES.repeat_interleave(VALUES.long()),
    lambda: torch.equal(VALUES, VALUES),
    lambda: torch.tensor([1., 2.]),
    lambda: VALUES.new_tensor([1.]),
    lambda: VALUES[[2, 1, 0]],
])
def test_a_planted_wait_is_found(planted):
    with watched_syncs() as found:
        planted()
    assert found and all('test_syncs.py' in place for place in found)


def test_a_wait_in_a_backward_is_found():

    class Wait(torch.autograd.Function):

        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * gradient.sum().item()

    loss = Wait.apply(torch.ones(2, requires_grad=True)).sum()
    with watched_syncs() as found:
        loss.backward()
    assert len(found) == 1


def test_what_stays_on_the_device_is_not():
    with watched_syncs() as found:
        torch.where(MASK, VALUES, 0.)[1:3].masked_fill(MASK[1:3], 1.).gather(0, torch.zeros(2, dtype=torch.long))
        VALUES[VALUES.long()].repeat_interleave(2).flip(0).mean().isfinite().all()
    assert found == []


@pytest.fixture
def run(images, tmp_path, monkeypatch):
    """Trains a demo recipe for a few iterations, the third of them inside a context."""

    def run(recipe, context, amp: str | None = None, accumulation: int = 1):
        cfg = launch.prepare_training(Namespace(
            config=str(recipe), data_root=str(images), work_dir=str(tmp_path), resume=None, encoder=None, amp=amp,
            auto_scale_lr=False, launcher='none', cfg_options={
                'train_dataloader.batch_size': 4, 'train_dataloader.dataset.indices': None,
                'optim_wrapper.clip_grad': dict(max_norm=1.), 'optim_wrapper.accumulative_counts': accumulation,
                'default_hooks.logger.interval': 2}))
        cfg.experiment_name = f'syncs_{next(NUMBER)}'
        dataset = cfg.train_dataloader.dataset
        dataset.pipeline = [step for step in dataset.pipeline if not step.type.endswith('LoadOfflineTarget')]
        target, size, original = cfg.model.target_generator, cfg.model.input_size, EpochBasedTrainLoop.run_iter
        notes = []

        def run_iter(loop, index, batch):
            if target.type == 'mim_plugins.OfflineTarget':
                batch['target_inputs'] = dict(features=torch.rand(
                    4, size // target.cell, size // target.cell, target.channels))
            if index != 2:
                return original(loop, index, batch)
            with context() as found:
                original(loop, index, batch)
            notes.append(found)
            loop.stop_training = True

        monkeypatch.setattr(EpochBasedTrainLoop, 'run_iter', run_iter)
        Runner.from_cfg(cfg).train()
        return notes

    return run


@pytest.mark.parametrize('recipe', RECIPES, ids=lambda path: path.stem)
def test_no_step_of_a_recipe_waits_for_the_device(run, recipe, monkeypatch):
    monkeypatch.setattr('mim_plugins.models.fills.inside._on_host', lambda mask: False)  # counts there, at no cost
    assert run(recipe, watched_syncs) == [[]]


def test_no_step_that_only_accumulates_waits_for_the_device(run):
    """The last line of the log has read all, and the third iteration brings no gradient norm."""
    assert run(DEMO, watched_syncs, accumulation=2) == [[]]


@pytest.mark.gpu
@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
@pytest.mark.parametrize('name', ['fastmim_vit', 'fastmim_swin', 'simmim_swin', 'mae_vit', 'mixmim_mixmim'])
def test_no_step_waits_for_a_gpu(run, name, amp):
    """torch itself tells, for targets, masks, fills, fused updates, clipping and the log."""

    @contextmanager
    def forbidden():
        torch.cuda.set_sync_debug_mode('error')
        try:
            yield 'ran'
        finally:
            torch.cuda.set_sync_debug_mode('default')

    recipe, = (path for path in RECIPES if path.stem.startswith(f'{name}-micro'))
    assert run(recipe, forbidden, amp) == ['ran']
