from .base import MaskedImageModel
from .fastmim import FastMIM
from .mae import MAE, PixMIM
from .simmim import SimMIM

__all__ = ['FastMIM', 'MAE', 'MaskedImageModel', 'PixMIM', 'SimMIM']
