"""Data sets, samplers and transforms; importing this registers all of them."""
from .keyed import KeyedDataset, SampleKey
from .samplers import KeyedInfiniteSampler, KeyedSampler
from .transforms import (
    BackgroundFocusedCrop,
    CenterCrop,
    LoadObjectMask,
    LoadRGBImage,
    RandomResizedCrop,
    ResizeOnly,
    SimpleResizedCrop,
)
from .unlabelled import UnlabelledImages

__all__ = [
    'BackgroundFocusedCrop', 'CenterCrop', 'KeyedDataset', 'KeyedInfiniteSampler', 'KeyedSampler', 'LoadObjectMask',
    'LoadRGBImage', 'RandomResizedCrop', 'ResizeOnly', 'SampleKey', 'SimpleResizedCrop', 'UnlabelledImages'
]
