"""Looking at a model: features and probes, pictures, curves. Importable functions, no registry."""
from .coverage import object_coverage
from .frequency import band_psnr
from .mask_statistics import avg_dist

__all__ = ['avg_dist', 'band_psnr', 'object_coverage']
