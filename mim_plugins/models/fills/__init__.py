from .base import Fill
from .image_token import ImageTokenFill
from .inside import PatchTokenFill, TokenDropFill

__all__ = ['Fill', 'ImageTokenFill', 'PatchTokenFill', 'TokenDropFill']
