from .base import ClassTarget, MapTarget
from .color_bins import ColorBinTarget
from .color_clusters import ColorClusterTarget
from .hog import HOGTarget
from .pixel import PixelTarget
from .tokenizer import TokenizerTarget

__all__ = [
    'ClassTarget', 'ColorBinTarget', 'ColorClusterTarget', 'HOGTarget', 'MapTarget', 'PixelTarget', 'TokenizerTarget'
]
