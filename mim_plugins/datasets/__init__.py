"""Data sets, samplers and transforms; importing this registers all of them."""
from .inaturalist import INaturalist
from .keyed import KeyedDataset, SampleKey
from .places import Places
from .samplers import KeyedInfiniteSampler, KeyedSampler
from .transforms import (
    BackgroundFocusedCrop,
    CenterCrop,
    GridAlignedCrop,
    LoadAndCrop,
    LoadObjectMask,
    LoadOfflineTarget,
    LoadRGBImage,
    PackEncodedCrop,
    PackInputs,
    RandomFlip,
    RandomResizedCrop,
    ResizeOnly,
    SimpleResizedCrop,
    collate_encoded,
)
from .unlabelled import UnlabelledImages

__all__ = [
    'BackgroundFocusedCrop', 'CenterCrop', 'GridAlignedCrop', 'INaturalist', 'KeyedDataset', 'KeyedInfiniteSampler',
    'KeyedSampler', 'LoadAndCrop', 'LoadObjectMask', 'LoadOfflineTarget', 'LoadRGBImage', 'PackEncodedCrop',
    'PackInputs', 'Places', 'RandomFlip', 'RandomResizedCrop', 'ResizeOnly', 'SampleKey', 'SimpleResizedCrop',
    'UnlabelledImages', 'collate_encoded'
]
