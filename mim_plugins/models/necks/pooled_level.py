from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS


@MODELS.register_module()
class PooledLevel(nn.Module):
    """Appends the last map at half the size, for encoders that end at stride 16 (ConvMAE, arXiv 2205.03892)."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps [B, C, h, w] of any number, and one [B, C, h // 2, w // 2] more."""
        return *maps, F.max_pool2d(maps[-1], 2)
