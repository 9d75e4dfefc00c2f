from .beit import ResizableBEiT
from .cmt import CMT
from .pvt import PyramidVisionTransformer
from .sin_cos_vit import SinCosVisionTransformer
from .sizing import with_input_size
from .swin import ResizableSwin, ResizableSwinV2
from .timm import TIMMEncoder
from .window_attention import WindowAttention

__all__ = [
    'CMT', 'PyramidVisionTransformer', 'ResizableBEiT', 'ResizableSwin', 'ResizableSwinV2', 'SinCosVisionTransformer',
    'TIMMEncoder', 'WindowAttention', 'with_input_size'
]
