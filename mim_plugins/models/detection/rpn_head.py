from typing import Any

import torch
from torch import Tensor, nn

from ...registry import MODELS


class Float32Conv2d(nn.Conv2d):
    """A convolution in float32, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] of any precision to float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


@MODELS.register_module()
def Float32RPNHead(**options: Any) -> nn.Module:
    """mmdet's ``RPNHead`` whose scores and boxes are predicted in float32, also under autocast.

    In bfloat16 many of the thousands of anchors have one and the same score, and mmcv's suppression of
    overlaps refuses it on a CPU.

    Args:
        **options: Those of mmdet's ``RPNHead``.
    """
    head = MODELS.build(dict(type='mmdet.RPNHead', **options))
    for name in ('rpn_cls', 'rpn_reg'):
        layer = getattr(head, name)
        setattr(head, name, Float32Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size))
    return head
