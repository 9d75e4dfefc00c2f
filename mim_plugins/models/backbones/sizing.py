"""The one input size reaches the encoder's config."""
import inspect

from mmpretrain.registry import MODELS

from ...errors import InputError


def _options(cls: type) -> set[str]:
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


def with_input_size(backbone: dict, size: tuple[int, int], stride: int) -> dict:
    """Fill in the image and window size of an encoder's config where it does not state them.

    Args:
        backbone: Config of an encoder. ``img_size`` and ``window_size`` are set if its class takes them.
        size: Images' (H, W) in pixels.
        stride: Pixels per cell of the encoder's last map. The window becomes as large as that map's shorter
            side: 4 at 128 px, 7 at 224 px for a Swin. mmpretrain pads maps that it does not tile.

    Returns:
        A new config.

    Raises:
        InputError: A stated window is larger than the last map.
    """
    cls = MODELS.get(backbone['type'])
    accepted = _options(cls) if cls else set()
    last_map = size[0] // stride, size[1] // stride
    derived = {'img_size': size, 'window_size': min(last_map)}
    sized = {**{key: value for key, value in derived.items() if key in accepted}, **backbone}
    window = sized.get('window_size')
    if isinstance(window, int) and window > min(last_map):
        raise InputError(f'attention windows of {window}x{window} do not fit the last map of '
                         f'{last_map[0]}x{last_map[1]} that images of {size[0]}x{size[1]} give')
    return sized
