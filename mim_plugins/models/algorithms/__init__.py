from .base import MaskedImageModel
from .fastmim import FastMIM
from .mae import MAE, PixMIM
from .mixmim import MixMIM
from .simmim import SimMIM

__all__ = ['FastMIM', 'MAE', 'MaskedImageModel', 'MixMIM', 'PixMIM', 'SimMIM']
