from operator import attrgetter

from mmengine.model import is_model_wrapper
from torch import nn

from ...errors import InputError


def part_of(model: nn.Module, name: str) -> nn.Module:
    """Part of a training's model by its dotted name, whatever wraps the model.

    Raises:
        InputError: It has no such part.
    """
    model = model.module if is_model_wrapper(model) else model
    try:
        return attrgetter(name)(model)
    except AttributeError as error:
        parts = ', '.join(name for name, _ in model.named_children())
        raise InputError(f'{type(model).__name__} has no part {name!r}; its parts are {parts}') from error
