from .mask_strategies import RandomMasks
from .masking import MaskingDataPreprocessor

__all__ = ['MaskingDataPreprocessor', 'RandomMasks']
