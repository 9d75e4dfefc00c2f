"""Parts of other packages that may change with a release: private attributes, and names that moved.

When a new torch, NumPy or mmengine breaks something, this is the file to look at first. torch's compiler and mmengine
are imported inside the functions, because a config is checked before either is needed.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from mmengine.optim import OptimWrapper
    from mmengine.runner import Runner


def is_resuming(runner: Runner) -> bool:
    """Return True if a run goes on from a checkpoint, optimizer and schedule included."""
    return runner._resume


def checkpoint_to_load(runner: Runner) -> str | None:
    """Return the checkpoint that a run was told to start or resume from, None if it was told none."""
    return runner._load_from


def accumulation_steps(optim_wrapper: OptimWrapper) -> int:
    """Return the number of iterations whose gradients are added up before a step of the optimizer.

    A wrapper of several optimizers has no such number of its own: 1.
    """
    return getattr(optim_wrapper, '_accumulative_counts', 1)


def parse_option_value(text: str) -> Any:
    """Return the value of ``KEY=VALUE`` as mmengine's ``--cfg-options`` reads it."""
    from mmengine.config import DictAction
    return DictAction._parse_iterable(text)


def inductor_options() -> list[str]:
    """Return the names of all options of torch's inductor, dots included."""
    return torch._inductor.list_options()


def inductor_mode_options(mode: str) -> dict[str, Any]:
    """Return the options of inductor that a mode of ``torch.compile`` switches on."""
    return torch._inductor.list_mode_options(mode)


@contextmanager
def fresh_compiler() -> Iterator[None]:
    """Compile without earlier results: forget this process's graphs and ignore the cache on disk."""
    import torch._inductor.config
    torch._dynamo.reset()
    with torch._inductor.config.patch(force_disable_caches=True):
        yield


def allow_compilations(number: int) -> None:
    """Let a module be compiled for at least ``number`` kinds of input before it runs eagerly."""
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, number)


def assert_on_device(condition: Tensor, message: str) -> None:
    """Stop a CUDA program with a message if a condition is false, without waiting for the device.

    Args:
        condition: Bool, of one element.
        message: Shown with the error that the device raises at a later call.
    """
    torch._assert_async(condition, message)


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """Return a nest of lists, tuples and dicts with a function applied to all that it holds."""
    return tree_map(function, value)


def numpy_classes() -> list[Any]:
    """Return what a checkpoint with NumPy's arrays and numbers names, for torch's restricted reader.

    mmengine's own list has ``getattr`` as well, which reaches whatever a file names.
    """
    core = getattr(np, '_core', None) or np.core  # NumPy 1 has it by its public name
    dtypes = [type(np.dtype(kind)) for kind in (np.uint32, np.int64, np.float32, np.float64)]
    return [np.ndarray, np.dtype, core.multiarray._reconstruct, core.multiarray.scalar, *dtypes]
