from .sin_cos_vit import SinCosVisionTransformer
from .sizing import with_input_size

__all__ = ['SinCosVisionTransformer', 'with_input_size']
