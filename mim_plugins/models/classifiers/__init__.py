from .frozen_encoder import FrozenEncoderClassifier

__all__ = ['FrozenEncoderClassifier']
