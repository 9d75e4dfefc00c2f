"""What a class can be configured with."""
import inspect
from typing import Any

from mmengine.registry import Registry


def constructor_options(cls: type) -> set[str]:
    """Names of all constructor arguments, those that are passed on to base classes included."""
    names: set[str] = set()
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters
        names |= set(parameters)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names


def filled_in(config: dict, registry: Registry, **options: Any) -> dict:
    """A config with those of ``options`` that its class takes and that it does not state itself."""
    cls = registry.get(config['type'])
    accepted = constructor_options(cls) if cls else set()
    return {**{name: value for name, value in options.items() if name in accepted}, **config}
