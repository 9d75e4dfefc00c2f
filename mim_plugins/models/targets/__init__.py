from .base import MapTarget
from .hog import HOGTarget
from .pixel import PixelTarget

__all__ = ['HOGTarget', 'MapTarget', 'PixelTarget']
