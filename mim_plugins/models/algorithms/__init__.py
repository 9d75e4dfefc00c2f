from .base import MaskedImageModel, read_size
from .fastmim import FastMIM
from .mae import MAE, PixMIM
from .simmim import SimMIM

__all__ = ['FastMIM', 'MAE', 'MaskedImageModel', 'PixMIM', 'SimMIM', 'read_size']
