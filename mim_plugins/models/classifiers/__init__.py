from .conv_pool import ConvPoolNeck
from .frozen_encoder import FrozenEncoderClassifier

__all__ = ['ConvPoolNeck', 'FrozenEncoderClassifier']
