"""Parts of the masked-image-modelling pipeline, one room per role."""
from .algorithms import MAE, FastMAE, FastMIM, MaskedImageModel, MixMIM, PixMIM, SimMIM
from .backbones import (
    CMT,
    ConvMAEEncoder,
    DenseVisionTransformer,
    MFFVisionTransformer,
    MixedResNet,
    MixedTIMMEncoder,
    MixMIMTransformer,
    PyramidVisionTransformer,
    ResizableBEiT,
    ResizableSwin,
    ResizableSwinV2,
    SinCosVisionTransformer,
    TIMMEncoder,
    TwinsSVT,
)
from .classifiers import FrozenEncoderClassifier
from .detection import Float32RoIExtractor, Float32RPNHead
from .fills import Fill, ImageTokenFill, MixFill, PatchTokenFill, TokenDropFill
from .heads import ReconstructionHead
from .losses import ReconstructionLoss
from .necks import (
    ConvPoolNeck,
    Decoder,
    InverseSwinDecoder,
    LinearDecoder,
    MAEDecoder,
    MLPDecoder,
    PooledLevel,
    RescaledLevels,
    SimpleFeaturePyramid,
    TransformerDecoder,
)
from .preprocessors import (
    BlockMasks,
    FixedMasks,
    MaskingDataPreprocessor,
    MixedMaskingDataPreprocessor,
    RandomMasks,
    SquareMasks,
)
from .targets import (
    ClassTarget,
    ColorBinTarget,
    ColorClusterTarget,
    HOGTarget,
    LowPassTarget,
    MapTarget,
    OfflineTarget,
    PixelTarget,
    TeacherTarget,
    TokenizerTarget,
)

__all__ = [
    'BlockMasks', 'CMT', 'ClassTarget', 'ColorBinTarget', 'ColorClusterTarget', 'ConvMAEEncoder', 'ConvPoolNeck',
    'Decoder', 'DenseVisionTransformer', 'FastMAE', 'FastMIM', 'Fill', 'FixedMasks', 'Float32RPNHead',
    'Float32RoIExtractor', 'FrozenEncoderClassifier', 'HOGTarget', 'ImageTokenFill', 'InverseSwinDecoder',
    'LinearDecoder', 'LowPassTarget', 'MAE', 'MAEDecoder', 'MFFVisionTransformer', 'MLPDecoder', 'MapTarget',
    'MaskedImageModel', 'MaskingDataPreprocessor', 'MixFill', 'MixMIM', 'MixMIMTransformer',
    'MixedMaskingDataPreprocessor', 'MixedResNet', 'MixedTIMMEncoder', 'OfflineTarget', 'PatchTokenFill', 'PixMIM',
    'PixelTarget', 'PooledLevel', 'PyramidVisionTransformer', 'RandomMasks', 'ReconstructionHead', 'ReconstructionLoss',
    'RescaledLevels', 'ResizableBEiT', 'ResizableSwin', 'ResizableSwinV2', 'SimMIM', 'SimpleFeaturePyramid',
    'SinCosVisionTransformer', 'SquareMasks', 'TIMMEncoder', 'TeacherTarget', 'TokenDropFill', 'TokenizerTarget',
    'TransformerDecoder', 'TwinsSVT'
]
