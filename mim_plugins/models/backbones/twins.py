from typing import Any

import torch.nn.functional as F
from mmpretrain.models import SVT
from mmpretrain.models.backbones.twins import LocallyGroupedSelfAttention
from torch import Tensor

from ...registry import MODELS
from .recomputation import recompute_blocks
from .window_attention import attend_with_mask, join, partition

# Between a token and the padding of its window, as mmpretrain's.
_APART = -1000.


class _LocalAttention(LocallyGroupedSelfAttention):
    """mmpretrain's attention within windows by ``scaled_dot_product_attention``.

    What pads a map on one side only is kept from its tokens as well.
    """

    def forward(self, x: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Attend among tokens [B, H * W, C] of a grid (H, W)."""
        window = self.window_size, self.window_size
        below, right = (-side % self.window_size for side in hw_shape)
        pad, whole = (0, 0, 0, right, 0, below), (hw_shape[0] + below, hw_shape[1] + right)
        windows = partition(F.pad(x.unflatten(1, hw_shape), pad), window)
        query, key, value = self.qkv(windows).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None
        if below or right:
            padding = partition(F.pad(x.new_zeros(1, *hw_shape, 1), pad, value=1), window).squeeze(-1)
            mask = _APART * (padding[:, :, None] != padding[:, None])
        dropout = self.attn_drop.p if self.training else 0.
        attended = join(attend_with_mask(query, key, value, None, mask, dropout, self.scale), window, whole)
        kept = attended.unflatten(1, whole)[:, :hw_shape[0], :hw_shape[1]].flatten(1, 2)
        return self.proj_drop(self.proj(kept))


@MODELS.register_module()
class TwinsSVT(SVT):
    """mmpretrain's Twins-SVT (arXiv 2104.13840, table 2) by ``scaled_dot_product_attention``.

    Names in the state dict are mmpretrain's, and so are outputs, save where windows pad a map on one side only: there
    mmpretrain lets tokens attend the padding.

    Args:
        arch: As mmpretrain's.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.
    """

    def __init__(self, arch: str | dict, with_cp: bool = False, **options: Any) -> None:
        super().__init__(arch, **options)
        for blocks in self.stages:
            for block in blocks:
                if isinstance(block.attn, LocallyGroupedSelfAttention):
                    block.attn.__class__ = _LocalAttention
            if with_cp:
                recompute_blocks(blocks)
