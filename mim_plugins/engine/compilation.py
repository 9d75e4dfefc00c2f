"""torch.compile of a model's parts: from a config's key and a command's option to modules compiled in place."""
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..errors import InputError

MODES = ('default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs')
OPTIONS = ('parts', 'backend', 'mode', 'options', 'fullgraph')
_HOOK = 'mim_plugins.CompileHook'
# Each combination of image size, batch and number of visible tokens is one compilation of each part.
_COMPILATIONS = 64


def set_compilation(cfg: Config, mode: str | None = None) -> None:
    """Turn a config's ``compile`` into a :class:`CompileHook`; mmengine's own would compile the whole training step.

    Args:
        cfg: Changed in place. Its ``compile`` is true or false, or a dict of the hook's arguments.
        mode: That of the command line, which switches compilation on; None leaves it to the config.

    Raises:
        InputError: ``compile`` is something else, or has an argument that the hook does not know.
    """
    asked = cfg.pop('compile', None)
    if mode is not None:
        asked = {**(asked if isinstance(asked, dict) else {}), 'mode': mode}
    if not asked and not isinstance(asked, dict):
        return
    options = {} if asked is True else asked
    if not isinstance(options, dict) or not set(options) <= set(OPTIONS):
        raise InputError(f'compile must be True, False or a dict with some of {", ".join(OPTIONS)}, but is {asked!r}')
    check_options(*(options.get(name) for name in ('backend', 'mode', 'options')))
    others = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') != _HOOK]
    cfg.custom_hooks = [*others, dict(type=_HOOK, **options)]


def check_options(backend: str | Callable | None, mode: str | None, options: dict | None) -> None:
    """Raise an InputError for what ``torch.compile`` does not know."""
    if isinstance(backend, str) and backend not in torch.compiler.list_backends(exclude_tags=()):
        raise InputError('the backend of torch.compile must be one that torch.compiler.list_backends() gives, so '
                         f'{", ".join(torch.compiler.list_backends())}, but is {backend!r}')
    if mode not in (None, *MODES):
        raise InputError(f'the mode of torch.compile must be one of {", ".join(MODES)}, but is {mode!r}')
    if mode and options:
        raise InputError(f'torch.compile takes a mode or options, but got mode={mode!r} and options={options}')


def check_backend(backend: str | Callable, device: torch.device) -> None:
    """Compile one line, to tell of a missing compiler before the data are read.

    Raises:
        InputError: It cannot be compiled.
    """
    torch._dynamo.reset()
    try:
        # What was compiled before is kept on disk and would need no compiler.
        with warnings.catch_warnings(), torch._inductor.config.patch(force_disable_caches=True):
            warnings.simplefilter('ignore')
            torch.compile(torch.sin, backend=backend)(torch.ones(8, device=device))
    except Exception as error:  # whatever compilers and drivers raise
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise InputError(f'torch.compile with backend={backend!r} does not work here, so train without compile or '
                         f'install what is missing: {type(error).__name__}: {reason}') from error


def compile_in_place(part: nn.Module, **options: Any) -> None:
    """Let a module's calls be compiled, once for each shape of what comes in.

    Its names in state dicts stay, and copies of it are not compiled.

    Args:
        part: The module.
        **options: ``backend``, ``mode``, ``options`` and ``fullgraph`` of ``torch.compile``.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _COMPILATIONS)
    _use_plain_numbers(part)
    part.compile(dynamic=False, **options)


def _use_plain_numbers(part: nn.Module) -> None:
    """Replace NumPy's scalars, which end a graph where they are compared; mmpretrain's drop path rates are such."""
    for module in part.modules():
        for name, value in vars(module).items():
            if isinstance(value, np.generic):
                setattr(module, name, value.item())
