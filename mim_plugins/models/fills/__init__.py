from .image_token import ImageTokenFill

__all__ = ['ImageTokenFill']
