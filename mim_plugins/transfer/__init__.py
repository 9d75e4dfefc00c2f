"""Weights from elsewhere and to elsewhere."""
from .loading import LoadReport, best_reading, load_encoder
from .released import from_released

__all__ = ['LoadReport', 'best_reading', 'from_released', 'load_encoder']
