"""The one input size reaches the encoder's config."""
from mmpretrain.registry import MODELS

from ...errors import InputError
from ..options import constructor_options


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
    accepted = constructor_options(cls) if cls else set()
    last_map = size[0] // stride, size[1] // stride
    derived = {'img_size': size}
    if 'window_size' in accepted and not cls.__module__.startswith('mim_plugins.'):  # ours see to their windows
        derived['window_size'] = min(last_map)
        window = backbone.get('window_size')
        if isinstance(window, int) and window > min(last_map):
            raise InputError(f'attention windows of {window}x{window} do not fit the last map of '
                             f'{last_map[0]}x{last_map[1]} that images of {size[0]}x{size[1]} give')
    return {**{key: value for key, value in derived.items() if key in accepted}, **backbone}
