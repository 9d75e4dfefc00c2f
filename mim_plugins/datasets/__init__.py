"""Data sets, samplers and transforms; importing this registers all of them."""
from .keyed import KeyedDataset, SampleKey
from .samplers import KeyedInfiniteSampler, KeyedSampler
from .transforms import (
    BackgroundFocusedCrop,
    CenterCrop,
    GridAlignedCrop,
    LoadObjectMask,
    LoadOfflineTarget,
    LoadRGBImage,
    PackInputs,
    RandomResizedCrop,
    ResizeOnly,
    SimpleResizedCrop,
)
from .unlabelled import UnlabelledImages

__all__ = [
    'BackgroundFocusedCrop', 'CenterCrop', 'GridAlignedCrop', 'KeyedDataset', 'KeyedInfiniteSampler', 'KeyedSampler',
    'LoadObjectMask', 'LoadOfflineTarget', 'LoadRGBImage', 'PackInputs', 'RandomResizedCrop', 'ResizeOnly', 'SampleKey',
    'SimpleResizedCrop', 'UnlabelledImages'
]
