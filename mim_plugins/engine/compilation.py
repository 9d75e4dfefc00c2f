"""torch.compile of a model's parts: from a config's key and a command's option to modules compiled in place."""
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..compat import allow_compilations, fresh_compiler, inductor_mode_options, inductor_options
from ..errors import InputError
from .parts import check_names

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
        asked = dict(asked) if isinstance(asked, dict) else {}
        if mode != MODES[0] or not asked.get('options'):  # options go with torch's default mode, and with no other
            asked['mode'] = mode
    if not asked and not isinstance(asked, dict):
        return
    options = {} if asked is True else asked
    if not isinstance(options, dict):
        raise InputError(f'compile must be True, False or a dict with some of {", ".join(OPTIONS)}, but is {asked!r}')
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise InputError(f'unknown keys in compile: {", ".join(unknown)}; it takes {", ".join(OPTIONS)}, and not '
                         'dynamic, since each size is compiled by itself')
    if isinstance(options.get('options'), dict):
        options = {**options, 'options': _dotted(options['options'])}
    check_options(**options)
    accumulation = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    check_accumulation(*(options.get(name) for name in ('backend', 'mode', 'options')), accumulation)
    others = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') != _HOOK]
    cfg.custom_hooks = [*others, dict(type=_HOOK, **options)]


def _dotted(options: dict) -> dict:
    """Inductor's options by names such as ``triton.cudagraphs``, whose dots nest on a command line."""
    flat = {}
    for name, value in options.items():
        nested = isinstance(value, dict) and name not in inductor_options()
        flat.update({f'{name}.{part}': inner for part, inner in value.items()} if nested else {name: value})
    return flat


def check_options(parts: Sequence[str] | None = None, backend: str | Callable = 'inductor', mode: str | None = None,
                  options: dict | None = None, fullgraph: bool = False) -> None:
    """Raise an InputError for arguments of a :class:`CompileHook` that ``torch.compile`` does not know."""
    if parts is not None:
        check_names(parts, 'compile.parts')
    if not callable(backend) and backend not in torch.compiler.list_backends(exclude_tags=()):
        raise InputError('the backend of torch.compile must be one that torch.compiler.list_backends() gives, so '
                         f'{", ".join(torch.compiler.list_backends())}, but is {backend!r}')
    if mode not in (None, *MODES):
        raise InputError(f'the mode of torch.compile must be one of {", ".join(MODES)}, but is {mode!r}')
    if mode and options:
        raise InputError(f'torch.compile takes a mode or options, but got mode={mode!r} and options={options}')
    if options is not None and not isinstance(options, dict):
        raise InputError('the options of torch.compile must be a dict with some that torch._inductor.list_options() '
                         f'gives, but are {options!r}')
    if backend == 'inductor' and (unknown := sorted(set(options or ()) - set(inductor_options()))):
        raise InputError(f'unknown options of torch.compile: {", ".join(unknown)}; torch._inductor.list_options() '
                         'gives those that there are')
    if not isinstance(fullgraph, bool):
        raise InputError(f'fullgraph of torch.compile must be True or False, but is {fullgraph!r}')


def records_graphs(backend: str | Callable | None, mode: str | None, options: dict | None) -> bool:
    """Whether a compilation with these arguments of ``torch.compile`` records CUDA graphs."""
    switched_on = inductor_mode_options(mode) if mode else options or {}
    return backend == 'cudagraphs' or bool(switched_on.get('triton.cudagraphs'))


def check_accumulation(backend: str | Callable | None, mode: str | None, options: dict | None,
                       accumulation: int) -> None:
    """Refuse CUDA graphs where gradients outlive a forward: they lie in memory that the next one writes over.

    Raises:
        InputError: Both come together.
    """
    if accumulation > 1 and records_graphs(backend, mode, options):
        raise InputError(f'compiling with CUDA graphs ({mode or options or backend}) loses gradients that accumulate, '
                         f'but optim_wrapper.accumulative_counts is {accumulation}: choose the mode default or '
                         'max-autotune-no-cudagraphs, or do not accumulate')


def check_backend(device: torch.device, backend: str | Callable, **options: Any) -> None:
    """Compile one line, to tell of a missing compiler before the first batch is read.

    Args:
        device: Of the model.
        backend: As of ``torch.compile``.
        **options: ``mode``, ``options`` and ``fullgraph`` of ``torch.compile``.

    Raises:
        InputError: It cannot be compiled.
    """
    try:
        # What was compiled before is kept on disk and would need no compiler.
        with warnings.catch_warnings(), fresh_compiler():
            warnings.simplefilter('ignore')
            torch.compile(torch.sin, backend=backend, **options)(torch.ones(8, device=device))
    except Exception as error:  # whatever compilers and drivers raise
        cause = getattr(error, 'inner_exception', error)
        reason = next((line for line in str(cause).splitlines() if line.strip()), 'no reason is given')
        raise InputError(f'torch.compile with backend={backend!r} does not work here, so train without compile, '
                         f'install what is missing or mend its options: {type(cause).__name__}: {reason}') from error


def compile_in_place(part: nn.Module, **options: Any) -> None:
    """Let a module's calls be compiled, once for each shape of what comes in.

    Its names in state dicts stay, and copies of it are not compiled.

    Args:
        part: The module.
        **options: ``backend``, ``mode``, ``options`` and ``fullgraph`` of ``torch.compile``.
    """
    allow_compilations(_COMPILATIONS)
    _use_plain_numbers(part)
    part.compile(dynamic=False, **options)


def _use_plain_numbers(part: nn.Module) -> None:
    """Replace NumPy's scalars, which end a graph where they are compared; mmpretrain's drop path rates are such."""
    for module in part.modules():
        for name, value in vars(module).items():
            if isinstance(value, np.generic):
                setattr(module, name, value.item())
