"""Parts of the masked-image-modelling pipeline, one room per role."""
from .algorithms import FastMIM, MaskedImageModel, SimMIM
from .backbones import (
    CMT,
    PyramidVisionTransformer,
    ResizableBEiT,
    ResizableSwin,
    ResizableSwinV2,
    SinCosVisionTransformer,
    TIMMEncoder,
)
from .fills import Fill, ImageTokenFill, PatchTokenFill, TokenDropFill
from .heads import ReconstructionHead
from .losses import ReconstructionLoss
from .necks import Decoder, InverseSwinDecoder, LinearDecoder, MLPDecoder, TransformerDecoder
from .preprocessors import BlockMasks, FixedMasks, MaskingDataPreprocessor, RandomMasks, SquareMasks
from .targets import ClassTarget, ColorBinTarget, ColorClusterTarget, HOGTarget, MapTarget, PixelTarget, TokenizerTarget

__all__ = [
    'BlockMasks', 'CMT', 'ClassTarget', 'ColorBinTarget', 'ColorClusterTarget', 'Decoder', 'FastMIM', 'Fill',
    'FixedMasks', 'HOGTarget', 'ImageTokenFill', 'InverseSwinDecoder', 'LinearDecoder', 'MLPDecoder', 'MapTarget',
    'MaskedImageModel', 'MaskingDataPreprocessor', 'PatchTokenFill', 'PixelTarget', 'PyramidVisionTransformer',
    'RandomMasks', 'ReconstructionHead', 'ReconstructionLoss', 'ResizableBEiT', 'ResizableSwin', 'ResizableSwinV2',
    'SimMIM', 'SinCosVisionTransformer', 'SquareMasks', 'TIMMEncoder', 'TokenDropFill', 'TokenizerTarget',
    'TransformerDecoder'
]
