from .crops import BackgroundFocusedCrop, CenterCrop, RandomResizedCrop, ResizeOnly, SimpleResizedCrop
from .flip import RandomFlip
from .grid_crop import GridAlignedCrop
from .load_and_crop import LoadAndCrop
from .loading import LoadRGBImage
from .object_masks import LoadObjectMask
from .offline_target import LoadOfflineTarget
from .pack_encoded import PackEncodedCrop, collate_encoded
from .packing import PackInputs

__all__ = [
    'BackgroundFocusedCrop', 'CenterCrop', 'GridAlignedCrop', 'LoadAndCrop', 'LoadObjectMask', 'LoadOfflineTarget',
    'LoadRGBImage', 'PackEncodedCrop', 'PackInputs', 'RandomFlip', 'RandomResizedCrop', 'ResizeOnly',
    'SimpleResizedCrop', 'collate_encoded'
]
