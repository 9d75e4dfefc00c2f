from .base import MaskedImageModel, read_size
from .fastmim import FastMIM
from .simmim import SimMIM

__all__ = ['FastMIM', 'MaskedImageModel', 'SimMIM', 'read_size']
