"""Finds what would make the host wait for a GPU, without one."""
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
# Their result or its shape depends on values.
_OPS = {
    _aten._local_scalar_dense, _aten.is_nonzero, _aten.nonzero, _aten.masked_select, _aten.equal, _aten._unique,
    _aten._unique2, _aten.unique_dim, _aten.unique_consecutive, _aten.unique_dim_consecutive, _aten.bincount}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
# Copies to the host, and from memory of the host that is not pinned.
_COPIES = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.cpu, Tensor.new_tensor, torch.tensor, torch.as_tensor,
           torch.from_numpy, torch.asarray}
_TORCH = torch.__path__[0]


def _place() -> str:
    """The innermost line that is neither torch's nor of this file."""
    frames = [frame for frame in traceback.extract_stack()
              if not frame.filename.startswith((_TORCH, '<')) and frame.filename != __file__]
    return f'{"/".join(frames[-1].filename.rsplit("/", 3)[1:])}:{frames[-1].lineno} ({frames[-1].name})'


class _Operators(TorchDispatchMode):

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        op = func.overloadpacket
        counts = func is _aten.repeat_interleave.Tensor and kwargs.get('output_size') is None
        masks = op in _INDEXING and any(index is not None and index.dtype in (torch.bool, torch.uint8)
                                        for index in args[1])
        if op in _OPS or counts or masks:
            self.found.append(f'{func} at {_place()}')
        return func(*args, **kwargs)


class _Copies(TorchFunctionMode):

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        listed = func in (Tensor.__getitem__, Tensor.__setitem__) and any(
            isinstance(part, list | np.ndarray) for part in (args[1] if isinstance(args[1], tuple) else args[1:2]))
        if func in _COPIES or listed:
            self.found.append(f'{"indexing by a list" if listed else func.__name__} at {_place()}')
        return func(*args, **(kwargs or {}))


@contextmanager
def watched_syncs() -> Iterator[list[str]]:
    """Notes each operation inside that would wait for the device, or copy to it from memory that is not pinned.

    On a CPU every tensor counts as one on the device: what belongs on the host is no tensor, or not used inside.
    """
    found: list[str] = []
    with _Copies(found), _Operators(found):
        yield found
