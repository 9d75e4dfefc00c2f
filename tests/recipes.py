"""The recipes of configs/: parsed once, their models built and run without memory or arithmetic."""
import contextlib
import copy
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

import mmengine.config.utils
import torch
from mmengine.config import Config
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

CONFIGS = Path(__file__).parents[1] / 'configs'
# mmengine reads all of mmpretrain's metafiles for each config that inherits from one of mmpretrain's.
_load = functools.cache(mmengine.config.utils.load)


@functools.cache
def parsed(name: str) -> Config:
    """Parse a config of this repository once; what comes is not to be changed."""
    with mock.patch('mmengine.config.utils.load', _load):
        return Config.fromfile(CONFIGS / name)


def read(name: str) -> Config:
    """Return a copy of a config, the caller's own to change."""
    return copy.deepcopy(parsed(name))


class _Generator(torch.Generator):
    """A generator of the CPU where one of the meta device is asked for."""

    def __new__(cls, device: str | torch.device = 'cpu') -> '_Generator':
        return super().__new__(cls, _known(device))


def _known(device: str | torch.device) -> str:
    kind = torch.device(device).type
    return 'cpu' if kind == 'meta' else kind


class _Meta(TorchFunctionMode):
    """Make new tensors on the meta device, but those that constructors read: rates of stochastic depth."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in _device_constructors() and func is not torch.linspace and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Build and run models on the meta device: shapes and types are checked, no value is computed.

    Autocast and generators do not know the device; they get the CPU's instead.
    """
    autocast = torch.autocast
    enabled, dtype = torch.is_autocast_enabled, torch.get_autocast_dtype

    with (mock.patch('torch.autocast', lambda device, *args, **options: autocast(_known(device), *args, **options)),
          mock.patch('torch.Generator', _Generator),
          mock.patch('torch.is_autocast_enabled', lambda device='cpu': enabled(_known(device))),
          mock.patch('torch.get_autocast_dtype', lambda device: dtype(_known(device))),
          _Meta()):
        yield


def one_per_model(names: Iterable[str]) -> list[str]:
    """Return the first of all configs with the same model."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(repr(parsed(name).model), name)
    return list(first.values())
