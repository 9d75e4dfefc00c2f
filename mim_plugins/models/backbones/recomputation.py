"""Activation checkpointing of any block: less memory for a second forward in the backward."""
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class _Recomputed:
    """A block's forward that keeps its inputs only."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, *args: Any, **options: Any) -> Any:
        forward = partial(type(self.block).forward, self.block)
        if not torch.is_grad_enabled():
            return forward(*args, **options)
        if torch.compiler.is_compiling():  # the compiler itself keeps what a forward changes out of what it repeats
            return checkpoint(forward, *args, use_reentrant=False, **options)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=self._contexts, **options)

    def _contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Around the block's forward, and around its repetition."""
        return nullcontext(), _keep_statistics(self.block)


@contextmanager
def _keep_statistics(block: nn.Module) -> Iterator[None]:
    """Let no BatchNorm update its running statistics: a batch that comes again would count twice."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, batches) in zip(norms, kept, strict=True):
        # They still read statistics, for the backward wants what the forward kept, and SyncBatchNorm has to count.
        norm.momentum, norm.num_batches_tracked = 0., None if batches is None else batches.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def recompute_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let blocks forget what is inside them until their backward, in which they run again.

    Outputs, gradients, running statistics and names stay the same. What a block reads from its own attributes must not
    change before the backward.

    Under ``torch.compile`` a block must be one graph, which ``fullgraph=True`` makes sure of: one whose graph breaks
    runs without what keeps BatchNorm from counting its batch twice.
    """
    for block in blocks:
        block.forward = _Recomputed(block)
