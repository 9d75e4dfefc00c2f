from .transformer_decoder import TransformerDecoder

__all__ = ['TransformerDecoder']
