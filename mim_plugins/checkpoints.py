"""Weights either match or are refused in words."""
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from .compat import numpy_classes
from .errors import InputError, name_some


def check_match(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Compare a state dict with a model, names and shapes.

    Args:
        model: The model that is to take the weights.
        weights: State dict.
        source: Where the weights come from, for the message.

    Raises:
        InputError: A tensor is missing, unknown or of another shape.
    """
    own = model.state_dict()
    problems = {
        'missing': [name for name in own if name not in weights],
        'unknown': [name for name in weights if name not in own],
        'of another shape': [
            f'{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}' for name in own
            if name in weights and weights[name].shape != own[name].shape],
    }
    found = [f'{len(names)} {kind} (first: {names[0]})' for kind, names in problems.items() if names]
    if found:
        raise InputError(f'the checkpoint {source} does not match the model: of {len(own)} tensors, '
                         + ', '.join(found))


def check_file(path: str | Path) -> None:
    """Look at a checkpoint file without reading it.

    Raises:
        InputError: No such file, one of another kind, or one that was cut short.
    """
    if not Path(path).is_file():
        raise InputError(f'no checkpoint at {path}')
    with open(path, 'rb') as file:
        start = file.read(2)
    # torch writes zip files, whose directory is at the end; before 1.6 it wrote bare pickles.
    if not (is_zipfile(path) if start == b'PK' else start[:1] == b'\x80'):
        raise InputError(f'{path} is not a checkpoint, or one that was cut short')


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint that a run saved last, also after its folder was moved; None if it saved none."""
    note = Path(work_dir) / 'last_checkpoint'
    if not note.is_file():
        return None
    noted = Path(note.read_text().strip())
    here = note.with_name(noted.name)
    return here if here.exists() else noted


class _Unread:
    """What stands in for an object of a class that is not read from files: an empty mapping."""

    def __new__(cls, *args: Any) -> OrderedDict:
        return OrderedDict()


def read_file(path: str | Path) -> Any:
    """What a checkpoint file holds, on the CPU; no code in it is run.

    Tensors, numbers, texts, containers and NumPy's arrays are read; objects of other classes, as the settings that
    many trainings save beside their weights, come as empty mappings.

    Raises:
        InputError: No such file, one of another kind, one that was cut short, or one that cannot be read this way.
    """
    check_file(path)
    unread: list[str] = []
    try:
        with safe_globals(numpy_classes()):
            if is_zipfile(path):  # in older files the classes cannot be listed
                unread = get_unsafe_globals_in_checkpoint(path)
            with safe_globals([(_Unread, name) for name in {*unread, 'argparse.Namespace'}]):
                return torch.load(path, map_location='cpu', weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, TypeError, ValueError) as error:
        held = f' (it holds {name_some(unread)})' if unread else ''
        raise InputError(f'{path} is damaged, or holds objects that cannot be read without running code from it{held}: '
                         'have whoever made it save the weights alone') from error


def check_harmless(path: str | Path) -> None:
    """Refuse a file whose reading by mmengine would run code from it.

    Raises:
        InputError: It holds objects of classes that neither mmengine nor a usual training saves.
    """
    if not is_zipfile(path):
        return
    with safe_globals([*numpy_classes(), HistoryBuffer, Namespace, getattr, slice]):  # mmengine's own and usual ones
        held = get_unsafe_globals_in_checkpoint(path)
    if held:
        raise InputError(f'{path} holds objects of other classes ({name_some(held)}), whose reading may run code: have '
                         'its weights saved alone, or take the encoder out with tools/convert_checkpoint.py')


def load_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint file.

    Raises:
        InputError: No such file, or none of a training.
    """
    checkpoint = read_file(path)
    if not isinstance(checkpoint, dict) or not {'state_dict', 'meta'} <= set(checkpoint):
        raise InputError(f'{path} is no checkpoint of a training: it has no state_dict or no meta')
    return checkpoint


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """State dict of a checkpoint file of any kind: a training's, or a plain one.

    Raises:
        InputError: No such file, one of another kind, or one that was cut short.
    """
    stored = read_file(path)
    return stored.get('state_dict', stored)
