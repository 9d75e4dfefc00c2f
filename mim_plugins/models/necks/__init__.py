from .base import Decoder
from .inverse_swin import InverseSwinDecoder
from .linear import LinearDecoder, MLPDecoder
from .transformer_decoder import TransformerDecoder

__all__ = ['Decoder', 'InverseSwinDecoder', 'LinearDecoder', 'MLPDecoder', 'TransformerDecoder']
