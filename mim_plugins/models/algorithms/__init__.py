from .base import MaskedImageModel
from .fastmae import FastMAE
from .fastmim import FastMIM
from .mae import MAE, PixMIM
from .mixmim import MixMIM
from .simmim import SimMIM

__all__ = ['FastMAE', 'FastMIM', 'MAE', 'MaskedImageModel', 'MixMIM', 'PixMIM', 'SimMIM']
