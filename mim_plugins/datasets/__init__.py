"""Data sets, samplers and transforms; importing this registers all of them."""
from .keyed import KeyedDataset, SampleKey
from .samplers import KeyedInfiniteSampler, KeyedSampler
from .transforms import LoadRGBImage, RandomResizedCrop
from .unlabelled import UnlabelledImages

__all__ = [
    'KeyedDataset', 'KeyedInfiniteSampler', 'KeyedSampler', 'LoadRGBImage', 'RandomResizedCrop', 'SampleKey',
    'UnlabelledImages'
]
