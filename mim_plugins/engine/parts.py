"""Parts of a model by their dotted names."""
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from ..errors import InputError


def check_names(names: Any, what: str) -> Sequence[str]:
    """The same names; raises an InputError for what is no list of them, as one name alone."""
    if not isinstance(names, list | tuple) or not names or not all(name and isinstance(name, str) for name in names):
        raise InputError(f"{what} must be a list of names of a model's parts, but is {names!r}")
    return names


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, whatever wraps it for several processes or for test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def part_of(model: nn.Module, name: str) -> nn.Module:
    """Part of a runner's model by its dotted name, whatever wraps the model.

    Raises:
        InputError: It has no such part, or what has this name is no module.
    """
    model = unwrapped(model)
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        place, inner = '', model
        for child in name.split('.'):
            if child not in dict(inner.named_children()):
                break
            place, inner = f'{place}.{child}'.lstrip('.'), getattr(inner, child)
        parts = ', '.join(name for name, _ in inner.named_children()) or 'none'
        whose = f'those of {place}' if place else 'its parts'
        raise InputError(f'{type(model).__name__} has no part {name!r}; {whose} are {parts}') from error
