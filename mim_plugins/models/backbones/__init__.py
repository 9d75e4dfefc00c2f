from .beit import ResizableBEiT
from .sin_cos_vit import SinCosVisionTransformer
from .sizing import with_input_size
from .swin import ResizableSwin, ResizableSwinV2
from .window_attention import WindowAttention

__all__ = [
    'ResizableBEiT', 'ResizableSwin', 'ResizableSwinV2', 'SinCosVisionTransformer', 'WindowAttention', 'with_input_size'
]
