import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...ops.seeds import key_seed
from ...registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds torch before each iteration from (seed, rank, iteration).

    Drop path and dropout are then the same in a resumed run as in one that never stopped.
    """
    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        torch.manual_seed(key_seed(runner.seed, get_rank(), runner.iter))
