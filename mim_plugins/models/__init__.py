"""Parts of the masked-image-modelling pipeline, one room per role."""
from .algorithms import FastMIM, MaskedImageModel, SimMIM
from .backbones import SinCosVisionTransformer
from .fills import Fill, ImageTokenFill, PatchTokenFill, TokenDropFill
from .heads import ReconstructionHead
from .losses import ReconstructionLoss
from .necks import Decoder, TransformerDecoder
from .preprocessors import MaskingDataPreprocessor, RandomMasks
from .targets import HOGTarget, MapTarget, PixelTarget

__all__ = [
    'Decoder', 'FastMIM', 'Fill', 'HOGTarget', 'ImageTokenFill', 'MapTarget', 'MaskedImageModel',
    'MaskingDataPreprocessor', 'PatchTokenFill', 'PixelTarget', 'RandomMasks', 'ReconstructionHead',
    'ReconstructionLoss', 'SimMIM', 'SinCosVisionTransformer', 'TokenDropFill', 'TransformerDecoder'
]
