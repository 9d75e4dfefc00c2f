"""Parts of detectors that mmdet lacks; nothing here imports mmdet before it is built."""
from .pooled_level import PooledLevel
from .roi_extractor import Float32RoIExtractor

__all__ = ['Float32RoIExtractor', 'PooledLevel']
