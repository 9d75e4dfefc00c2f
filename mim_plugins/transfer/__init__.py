"""Weights from elsewhere and to elsewhere."""
from .released import from_released

__all__ = ['from_released']
