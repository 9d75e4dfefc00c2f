from .base import MaskedImageModel
from .fastmim import FastMIM

__all__ = ['FastMIM', 'MaskedImageModel']
