"""Parts of detectors that mmdet lacks; nothing here imports mmdet before it is built."""
from .roi_extractor import Float32RoIExtractor
from .rpn_head import Float32RPNHead

__all__ = ['Float32RPNHead', 'Float32RoIExtractor']
