from .base import Decoder
from .transformer_decoder import TransformerDecoder

__all__ = ['Decoder', 'TransformerDecoder']
