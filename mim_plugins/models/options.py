"""What a class can be configured with."""
import inspect


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
