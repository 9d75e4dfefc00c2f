from .base import Decoder
from .inverse_swin import InverseSwinDecoder
from .linear import LinearDecoder, MLPDecoder
from .mae_decoder import MAEDecoder
from .rescaled_levels import RescaledLevels
from .simple_pyramid import SimpleFeaturePyramid
from .transformer_decoder import TransformerDecoder

__all__ = [
    'Decoder', 'InverseSwinDecoder', 'LinearDecoder', 'MAEDecoder', 'MLPDecoder', 'RescaledLevels',
    'SimpleFeaturePyramid', 'TransformerDecoder'
]
