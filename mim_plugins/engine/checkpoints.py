"""Weights either match or are refused in words."""
from collections.abc import Mapping
from pathlib import Path
from zipfile import is_zipfile

from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import InputError


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
        InputError: No such file, or one that was cut short.
    """
    if not Path(path).is_file():
        raise InputError(f'no checkpoint at {path}')
    with open(path, 'rb') as file:
        start = file.read(2)
    # torch writes zip files, whose directory is at the end; files of torch before 1.6 cannot be told.
    if not start or (start == b'PK' and not is_zipfile(path)):
        raise InputError(f'the checkpoint {path} is empty or was cut short')


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a training checkpoint's weights, all of them.

    Raises:
        InputError: No such file, a file cut short, or weights of another model.
    """
    check_file(path)
    checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    weights = checkpoint.get('state_dict', checkpoint)
    check_match(model, weights, str(path))
    model.load_state_dict(weights)
