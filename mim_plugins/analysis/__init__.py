"""Looking at a model: features and probes, pictures, curves. Importable functions, no registry."""
from .coverage import object_coverage
from .mask_statistics import avg_dist

__all__ = ['avg_dist', 'object_coverage']
