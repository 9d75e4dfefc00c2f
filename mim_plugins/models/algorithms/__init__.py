from .base import MaskedImageModel
from .fastmim import FastMIM
from .simmim import SimMIM

__all__ = ['FastMIM', 'MaskedImageModel', 'SimMIM']
