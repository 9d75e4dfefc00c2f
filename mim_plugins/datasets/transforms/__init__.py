from .crops import RandomResizedCrop
from .loading import LoadRGBImage

__all__ = ['LoadRGBImage', 'RandomResizedCrop']
