from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    """1x1 and 3x3 convolution, each with a norm and neither with a bias or an activation."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False), LayerNorm2d(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), LayerNorm2d(out_channels))


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """A pyramid made of the last map of a plain encoder (ViTDet, arXiv 2203.16527, section 3).

    The map of stride 16 becomes four of strides 4, 8, 16 and 32; further levels halve the last one.

    Args:
        in_channels: Width of the encoder, divisible by 4.
        out_channels: Width of every level.
        num_outs: Levels to give, at least 4.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: Fewer than four levels, or from a call more than one map.
    """

    def __init__(self, in_channels: int = 768, out_channels: int = 256, num_outs: int = 5,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        if num_outs < 4:
            raise InputError(f'num_outs must be at least 4, but is {num_outs}')
        half, quarter = in_channels // 2, in_channels // 4
        self.rescale = nn.ModuleList([
            nn.Sequential(nn.ConvTranspose2d(in_channels, half, 2, 2), LayerNorm2d(half), nn.GELU(),
                          nn.ConvTranspose2d(half, quarter, 2, 2)),
            nn.ConvTranspose2d(in_channels, half, 2, 2), nn.Identity(), nn.MaxPool2d(2, 2)])
        self.project = nn.ModuleList(
            _projection(width, out_channels) for width in (quarter, half, in_channels, in_channels))
        self.halve = nn.MaxPool2d(1, 2)
        self.num_outs = num_outs

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make levels [B, out_channels, h, w], the finest first, of one map [B, in_channels, H / 16, W / 16]."""
        if len(features) != 1:
            raise InputError(f'the pyramid is made of one map, but {len(features)} came: out_indices of the encoder '
                             'must name its last layer only')
        levels = [project(rescale(features[0])) for rescale, project in zip(self.rescale, self.project, strict=True)]
        levels = [level.contiguous() for level in levels]  # mmcv's RoIAlign does not look at strides
        while len(levels) < self.num_outs:
            levels.append(self.halve(levels[-1]))
        return tuple(levels)
