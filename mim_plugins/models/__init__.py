"""Parts of the masked-image-modelling pipeline, one room per role."""
from .algorithms import FastMIM, MaskedImageModel
from .backbones import SinCosVisionTransformer
from .fills import ImageTokenFill
from .heads import ReconstructionHead
from .necks import TransformerDecoder
from .preprocessors import MaskingDataPreprocessor, RandomMasks
from .targets import HOGTarget, MapTarget, PixelTarget

__all__ = [
    'FastMIM', 'HOGTarget', 'ImageTokenFill', 'MapTarget', 'MaskedImageModel', 'MaskingDataPreprocessor', 'PixelTarget',
    'RandomMasks', 'ReconstructionHead', 'SinCosVisionTransformer', 'TransformerDecoder'
]
