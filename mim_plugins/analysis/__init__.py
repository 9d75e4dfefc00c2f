"""Looking at a model: features and probes, pictures, curves. Importable functions, no registry."""
from .mask_statistics import avg_dist

__all__ = ['avg_dist']
