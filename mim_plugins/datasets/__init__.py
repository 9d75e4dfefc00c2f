"""Data sets and their transforms; importing this registers both."""
from .errors import DataError, ImageDecodeError, UnreadableImagesError
from .transforms import LoadRGBImage
from .unlabelled import UnlabelledImages

__all__ = [
    'DataError', 'ImageDecodeError', 'LoadRGBImage', 'UnlabelledImages', 'UnreadableImagesError']
