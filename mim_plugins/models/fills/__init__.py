from .base import Fill
from .image_token import ImageTokenFill
from .inside import PatchTokenFill, TokenDropFill
from .mix import MixFill

__all__ = ['Fill', 'ImageTokenFill', 'MixFill', 'PatchTokenFill', 'TokenDropFill']
