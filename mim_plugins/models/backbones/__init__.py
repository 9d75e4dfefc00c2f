from .beit import ResizableBEiT
from .cmt import CMT
from .convmae import ConvMAEEncoder
from .dense_vit import DenseVisionTransformer
from .mff_vit import MFFVisionTransformer
from .mixed_convolution import MixedResNet, MixedTIMMEncoder
from .mixmim import MixMIMTransformer
from .pvt import PyramidVisionTransformer
from .sin_cos_vit import SinCosVisionTransformer
from .sizing import with_input_size
from .swin import ResizableSwin, ResizableSwinV2
from .timm import TIMMEncoder
from .twins import TwinsSVT
from .window_attention import WindowAttention

__all__ = [
    'CMT', 'ConvMAEEncoder', 'DenseVisionTransformer', 'MFFVisionTransformer', 'MixMIMTransformer', 'MixedResNet',
    'MixedTIMMEncoder', 'PyramidVisionTransformer', 'ResizableBEiT', 'ResizableSwin', 'ResizableSwinV2',
    'SinCosVisionTransformer', 'TIMMEncoder', 'TwinsSVT', 'WindowAttention', 'with_input_size'
]
