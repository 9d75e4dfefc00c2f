from .mask_strategies import BlockMasks, FixedMasks, RandomMasks, SquareMasks
from .masking import MaskingDataPreprocessor

__all__ = ['BlockMasks', 'FixedMasks', 'MaskingDataPreprocessor', 'RandomMasks', 'SquareMasks']
