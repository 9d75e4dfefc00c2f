"""Data sets and their transforms; importing this registers both."""
from .transforms import LoadRGBImage
from .unlabelled import UnlabelledImages

__all__ = ['LoadRGBImage', 'UnlabelledImages']
