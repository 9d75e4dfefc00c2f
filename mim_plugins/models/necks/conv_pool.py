from mmcv.cnn.bricks import ConvModule
from torch import Tensor, nn

from ...registry import MODELS


@MODELS.register_module()
class ConvPoolNeck(nn.Module):
    """1x1 convolution, BatchNorm and Swish before the average, as in CMT's classifier (arXiv 2107.06263, section 3).

    Args:
        in_channels: Of the last map.
        out_channels: Of the features.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels, out_channels, 1, bias=True, norm_cfg=dict(type='BN'), act_cfg=dict(type='Swish'))

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Features [B, out_channels] of the last of some maps [B, C, h, w]."""
        return (self.conv(maps[-1]).mean((2, 3)), )
