"""Optimizers whose state is spread over processes."""
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.optim import Optimizer

from ...errors import InputError
from ...registry import OPTIMIZERS


@OPTIMIZERS.register_module()
def ShardedOptimizer(params: Iterable, optimizer_type: str, **options: Any) -> Optimizer:
    """An optimizer whose state is spread over the processes (ZeRO stage 1, arXiv 1910.02054).

    Gradients are averaged by DDP as usual; each process then updates its share of the parameters and sends
    them to the others. One process alone gets the plain optimizer. Saving needs
    :class:`~mim_plugins.engine.hooks.AtomicCheckpointHook`, which gathers the state; mmengine's class of
    torch's name waits for ever there.

    Args:
        params: Parameters or their groups.
        optimizer_type: Name of a class in ``torch.optim``.
        **options: That class's own.

    Raises:
        InputError: torch has no such optimizer.
    """
    kind = getattr(torch.optim, optimizer_type, None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise InputError(f'optimizer_type must name an optimizer of torch.optim, but is {optimizer_type!r}')
    params = list(params)
    return kind(params, **options) if get_world_size() == 1 else ZeroRedundancyOptimizer(params, kind, **options)
