from .base import ClassTarget, MapTarget
from .color_bins import ColorBinTarget
from .color_clusters import ColorClusterTarget
from .hog import HOGTarget
from .low_pass import LowPassTarget
from .offline import OfflineTarget
from .pixel import PixelTarget
from .teacher import TeacherTarget
from .tokenizer import TokenizerTarget

__all__ = [
    'ClassTarget', 'ColorBinTarget', 'ColorClusterTarget', 'HOGTarget', 'LowPassTarget', 'MapTarget', 'OfflineTarget',
    'PixelTarget', 'TeacherTarget', 'TokenizerTarget'
]
