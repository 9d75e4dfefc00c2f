"""Activation checkpointing of any block: less memory for a second forward in the backward."""
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class _Recomputed:
    """A block's forward that keeps its inputs only."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, *args: Any, **options: Any) -> Any:
        forward = partial(type(self.block).forward, self.block)
        if not torch.is_grad_enabled():
            return forward(*args, **options)
        return checkpoint(forward, *args, use_reentrant=False, **options)


def recompute_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let blocks forget what is inside them until their backward, in which they run again.

    Outputs, gradients and names stay the same; BatchNorm counts each batch twice in its running statistics. What a
    block reads from its own attributes must not change before the backward.
    """
    for block in blocks:
        block.forward = _Recomputed(block)
