from .crops import BackgroundFocusedCrop, CenterCrop, RandomResizedCrop, ResizeOnly, SimpleResizedCrop
from .loading import LoadRGBImage
from .object_masks import LoadObjectMask

__all__ = [
    'BackgroundFocusedCrop', 'CenterCrop', 'LoadObjectMask', 'LoadRGBImage', 'RandomResizedCrop', 'ResizeOnly',
    'SimpleResizedCrop'
]
