from .base import Decoder
from .conv_pool import ConvPoolNeck
from .inverse_swin import InverseSwinDecoder
from .linear import LinearDecoder, MLPDecoder
from .mae_decoder import MAEDecoder
from .pooled_level import PooledLevel
from .rescaled_levels import RescaledLevels
from .simple_pyramid import SimpleFeaturePyramid
from .transformer_decoder import TransformerDecoder

__all__ = [
    'ConvPoolNeck', 'Decoder', 'InverseSwinDecoder', 'LinearDecoder', 'MAEDecoder', 'MLPDecoder', 'PooledLevel',
    'RescaledLevels', 'SimpleFeaturePyramid', 'TransformerDecoder'
]
