from .loading import LoadRGBImage

__all__ = ['LoadRGBImage']
