from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS


@MODELS.register_module()
class RescaledLevels(BaseModule):
    """Four layers of a plain encoder as a pyramid of strides 4, 8, 16 and 32 (BEiT, arXiv 2106.08254).

    Each map has a LayerNorm first, as FastMIM's detector has it (arXiv 2212.06593).

    Args:
        in_channels: Width of the encoder and of every level.
        norm_cfg: Norm between the two transposed convolutions of the finest level.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: From a call, another number of maps than four.
    """

    def __init__(self, in_channels: int = 768, norm_cfg: dict[str, Any] | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg)
        norm = build_norm_layer(norm_cfg or dict(type='GN', num_groups=32), in_channels)[1]
        self.norms = nn.ModuleList(LayerNorm2d(in_channels) for _ in range(4))

        def double() -> nn.Module:
            return nn.ConvTranspose2d(in_channels, in_channels, 2, 2)

        self.rescale = nn.ModuleList([
            nn.Sequential(double(), norm, nn.GELU(), double()), double(), nn.Identity(), nn.MaxPool2d(2, 2)])

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make levels [B, in_channels, h, w], the finest first, of four maps [B, in_channels, H / 16, W / 16]."""
        if len(features) != 4:
            raise InputError(f'four maps are rescaled, but {len(features)} came: out_indices of the encoder must name '
                             'four layers')
        # mmcv's RoIAlign does not look at strides.
        return tuple(rescale(norm(level)).contiguous() for rescale, norm, level in zip(
            self.rescale, self.norms, features, strict=True))
