"""Parts of other packages that may change with a release: private attributes, and names that moved.

When a new torch, NumPy or mmengine breaks something, this is the file to look at first. Modules are imported inside
the functions, because a config is checked before torch's compiler or a runner is imported.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

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
    """Return the number of iterations whose gradients are added up before a step of the optimizer."""
    return optim_wrapper._accumulative_counts


def parse_option_value(text: str) -> Any:
    """Return the value of ``KEY=VALUE`` as mmengine's ``--cfg-options`` reads it."""
    from mmengine.config import DictAction
    return DictAction._parse_iterable(text)


def inductor_options() -> list[str]:
    """Return the names of all options of torch's inductor, dots included."""
    import torch
    return torch._inductor.list_options()


def inductor_mode_options(mode: str) -> dict[str, Any]:
    """Return the options of inductor that a mode of ``torch.compile`` switches on."""
    import torch
    return torch._inductor.list_mode_options(mode)


@contextmanager
def fresh_compiler() -> Iterator[None]:
    """Compile anew what was compiled before, in this process or in one whose results are on disk."""
    import torch
    import torch._inductor.config
    torch._dynamo.reset()
    with torch._inductor.config.patch(force_disable_caches=True):
        yield


def allow_compilations(number: int) -> None:
    """Let a module be compiled for at least ``number`` kinds of input before it runs eagerly."""
    import torch
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, number)


def numpy_classes() -> list[Any]:
    """Return what a checkpoint with NumPy's arrays and numbers names, for torch's restricted reader.

    mmengine's own list has ``getattr`` as well, which reaches whatever a file names.
    """
    core = getattr(np, '_core', None) or np.core  # NumPy 1 has it by its public name
    dtypes = [type(np.dtype(kind)) for kind in (np.uint32, np.int64, np.float32, np.float64)]
    return [np.ndarray, np.dtype, core.multiarray._reconstruct, core.multiarray.scalar, *dtypes]
