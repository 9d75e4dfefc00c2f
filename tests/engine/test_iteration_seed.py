"""IterationSeedHook: torch's random numbers depend on (seed, rank, iteration)."""
from types import SimpleNamespace

import pytest
import torch

from mim_plugins.registry import HOOKS


@pytest.fixture
def draw(monkeypatch):
    """Random numbers [4] as a model draws them in an iteration."""
    hook = HOOKS.build(dict(type='mim_plugins.IterationSeedHook'))

    def draw(iteration: int = 5, seed: int = 3, rank: int = 0, device: str = 'cpu') -> torch.Tensor:
        monkeypatch.setattr('mim_plugins.engine.hooks.iteration_seed.get_rank', lambda: rank)
        torch.rand(7, device=device)  # what was drawn before plays no part
        hook.before_train_iter(SimpleNamespace(seed=seed, iter=iteration), batch_idx=iteration)
        return torch.rand(4, device=device)

    return draw


def test_draws_depend_on_seed_rank_and_iteration_and_nothing_else(draw):
    first = draw()
    assert torch.equal(draw(), first)
    for other in (draw(iteration=6), draw(seed=4), draw(rank=1)):
        assert not torch.equal(other, first)


@pytest.mark.gpu
def test_the_device_is_seeded_without_a_synchronisation(draw):
    first = draw(device='cuda')
    torch.cuda.set_sync_debug_mode('error')
    try:
        again = draw(device='cuda')
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert torch.equal(again, first)
