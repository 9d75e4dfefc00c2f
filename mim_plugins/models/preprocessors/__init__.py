from .mask_strategies import BlockMasks, FixedMasks, RandomMasks, SquareMasks
from .masking import MaskingDataPreprocessor
from .mixing import MixedMaskingDataPreprocessor

__all__ = [
    'BlockMasks', 'FixedMasks', 'MaskingDataPreprocessor', 'MixedMaskingDataPreprocessor', 'RandomMasks', 'SquareMasks'
]
