"""Weights of a file into an encoder, with a report of what arrived."""
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import read_file
from ..errors import InputError, name_some
from .released import from_released

# Where the encoder's tensors may lie in a file: below a key, and with a prefix.
_KEYS = (None, 'state_dict', 'model', 'teacher')
_PREFIXES = ('', 'backbone.', 'module.', 'module.backbone.', 'module.base_encoder.')
# Layout of a reading whose names only got TIMMEncoder's prefix, which fits any names.
PREFIXED = "timm's"
_MISMATCH = re.compile(r'size mismatch for (\S+): copying a param with shape torch\.Size\((.*?)\) from checkpoint, '
                       r'the shape in current model is torch\.Size\((.*?)\)')


@dataclass(frozen=True)
class Reading:
    """One way to understand a file: an encoder's weights by the encoder's own names.

    Attributes:
        weights: By name; tensors of other parts may be among them.
        layout: Whose layout the file has, if its tensors were renamed.
    """
    weights: dict[str, Tensor]
    layout: str | None = None


def readings(stored: Any) -> Iterator[Reading]:
    """A file's tensors under all names that they may be meant by; the plainest come first.

    Args:
        stored: What the file holds: a state dict, or one below a usual key, as a training's checkpoint.
    """
    for key in _KEYS:
        weights = stored.get(key) if key and isinstance(stored, Mapping) else stored
        if not isinstance(weights, Mapping):
            continue
        tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
        for prefix in _PREFIXES:
            plain = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            yield Reading(plain)
            yield Reading({f'timm_model.{name}': value for name, value in plain.items()}, PREFIXED)
            released = from_released(plain)
            if released is not None:
                renamed, layout = released
                yield Reading({name.removeprefix('backbone.'): value for name, value in renamed.items()}, layout)


def best_reading(stored: Any, names: set[str]) -> Reading:
    """The reading that has most of an encoder's ``names``; among equals the plainest."""
    return max(readings(stored), key=lambda reading: len(names & reading.weights.keys()), default=Reading({}))


@dataclass(frozen=True)
class LoadReport:
    """Which tensors of an encoder came from a file.

    Attributes:
        source: The file.
        total: Number of the encoder's tensors of floating point.
        resized: Names of those that came from a tensor of another shape.
        new: Names of those that did not come from the file.
        unused: Names of the file's tensors that went nowhere.
        beyond: Those of them that are of further blocks like the encoder's, as of a deeper one.
        layout: Whose layout the file has, if its tensors were renamed.
    """
    source: str
    total: int
    resized: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    beyond: tuple[str, ...] = ()
    layout: str | None = None

    @property
    def coverage(self) -> float:
        """Share of the encoder's tensors that came from the file, in [0, 1]."""
        return 1 - len(self.new) / self.total

    def __str__(self) -> str:
        told = [f'{self.total - len(self.new)} of {self.total} encoder tensors loaded from {self.source}',
                *([f'which has the layout of {self.layout}'] if self.layout else []),
                f'{len(self.resized)} resized' + (f' ({name_some(self.resized)})' if self.resized else ''),
                f'new: {name_some(self.new)}' if self.new else 'new: none']
        if self.unused:
            told.append(f'unused of the file: {name_some(self.unused)}')
        return ', '.join(told)


def load_encoder(encoder: nn.Module, path: str | Path) -> LoadReport:
    """Load a file's weights into an encoder, see :func:`load_reading`.

    The file may be a checkpoint of a pre-training, of a classifier, detector or segmenter with a ``backbone``, a
    converted one, or a released one (:func:`~mim_plugins.transfer.from_released`).

    Args:
        encoder: Changed in place.
        path: The file; no code in it is run.

    Raises:
        InputError: No such file, one that was cut short, or one that does not fit.
    """
    return load_reading(encoder, best_reading(read_file(path), set(_floats(encoder))), str(path))


def load_reading(encoder: nn.Module, reading: Reading, source: str) -> LoadReport:
    """Load weights into an encoder; what they do not hold stays as it is.

    The encoder's own load hooks resize position tables.

    Args:
        encoder: Changed in place.
        reading: The weights.
        source: Where they come from, for report and messages.

    Raises:
        InputError: No tensor is of this encoder, some have other shapes, as of another width, or hold NaN. The encoder
            is left as it was.
    """
    own, weights = _floats(encoder), reading.weights
    if not weights.keys() & own.keys():
        raise InputError(f'{source} holds no tensor of the encoder {type(encoder).__name__}: it has '
                         f'{name_some(list(weights))}, and the encoder has {name_some(list(own))}')
    broken = [name for name in own if name in weights and weights[name].isnan().any()]
    if broken:
        raise InputError(f'{source} holds NaN in {name_some(broken)}')
    before = {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}
    arrived = _arrivals(encoder, weights, before, source)
    after = _floats(encoder)
    # A load hook spreads a table that layers shared over their own.
    spread = any(name not in weights for name in arrived)
    shared = {name.rpartition('.')[2]: tensor for name, tensor in weights.items() if name.startswith('rel_pos_bias.')}
    came = {name: weights.get(name, shared.get(name.rpartition('.')[2])) for name in after if name in arrived}
    resized = [name for name, tensor in came.items() if tensor is not None and tensor.shape != after[name].shape]
    unused = [name for name in weights if name not in before and not (spread and name.startswith('rel_pos_bias.'))]
    blocks = {_numberless(name) for name in own}
    return LoadReport(
        source=source, total=len(own), resized=tuple(resized), layout=reading.layout,
        new=tuple(name for name in own if name not in arrived), unused=tuple(unused),
        beyond=tuple(name for name in unused if _numberless(name) in blocks))


def _numberless(name: str) -> str:
    """A name with a star for each number that stands alone between its dots."""
    return re.sub(r'(?<=\.)\d+(?=\.)', '*', name)


def _floats(encoder: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in encoder.state_dict().items() if tensor.is_floating_point()}


@torch.no_grad()
def _arrivals(encoder: nn.Module, weights: dict[str, Tensor], before: dict[str, Tensor], source: str) -> set[str]:
    """Load, and tell which tensors were written: all are NaN before, and those that still are get their value back."""
    for tensor in _floats(encoder).values():
        tensor.fill_(torch.nan)
    try:
        encoder.load_state_dict(weights, strict=False)
    except BaseException as error:
        encoder.load_state_dict(before)
        other = _MISMATCH.findall(str(error))
        if not isinstance(error, Exception):
            raise
        if not other:
            told = ' '.join(str(error).split()) or type(error).__name__
            raise InputError(f'{source} does not fit into {type(encoder).__name__}: {told}') from error
        name, theirs, ours = other[0]
        more = f', and {len(other) - 1} more tensors differ' if len(other) > 1 else ''
        raise InputError(f'{source} is of another encoder: {name} is {theirs} there and {ours} here{more}') from error
    arrived = set()
    for name, tensor in _floats(encoder).items():
        if tensor.isnan().all():
            tensor.copy_(before[name])
        else:
            arrived.add(name)
    return arrived
