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
    return kind(params, **options) if get_world_size() == 1 else _Sharded(params, kind, **options)


class _Sharded(ZeroRedundancyOptimizer):
    """torch's, which goes on from a checkpoint with optimizers that keep their steps on the device."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.optim.param_groups:
            on_device = group.get('fused') or group.get('capturable')
            for parameter in group['params'] if on_device else ():
                state = self.optim.state[parameter]
                if 'step' in state:  # torch has put it on the host
                    state['step'] = state['step'].to(parameter.device)
