"""SwinV2's window attention, whose window can change."""
import math

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import WindowMSAV2
from torch import Tensor

from ...ops import relative_position_index
from .biased_attention import aligned_index, gathered_bias
from .window_attention import attend_with_mask

# Of the learned factor of the cosines (arXiv 2111.09883, section 3.2).
_LARGEST_SCALE = 100
# Of the positions' bias.
_LARGEST_BIAS = 16


class CosineWindowAttention(WindowMSAV2):
    """mmpretrain's SwinV2 attention for windows of any size: its bias comes from a network on log-spaced coordinates.

    Names and shapes of parameters are mmpretrain's; its two tables become buffers that are not stored.

    Attributes:
        pretrained_window: Tokens in height and width that scale the coordinates; (0, 0) is the current window.
    """
    pretrained_window: tuple[int, int]

    @classmethod
    def replace(cls, attention: WindowMSAV2, pretrained_window: tuple[int, int]) -> None:
        """Make mmpretrain's module, which its block builds by itself, one of this class."""
        attention.__class__ = cls
        attention.pretrained_window = pretrained_window

    def set_window(self, window: tuple[int, int]) -> None:
        """Attend within windows of (h, w) tokens from now on."""
        axes = []
        for tokens, reference in zip(window, self.pretrained_window, strict=True):
            offsets = torch.arange(1 - tokens, tokens, dtype=torch.float32)
            scaled = 8 * offsets / max((reference or tokens) - 1, 1)
            axes.append(scaled.sign() * torch.log2(scaled.abs() + 1) / 3)  # log2(8)
        device = self.logit_scale.device
        table = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1)[None]
        index = aligned_index(relative_position_index(window))
        for name, value in (('relative_coords_table', table), ('relative_position_index', index)):
            self.register_buffer(name, value.to(device), persistent=False)
        self.window_size = tuple(window)

    def position_bias(self) -> Tensor:
        """Bias of each pair of tokens in the current window, [heads, N, N]."""
        table = self.cpb_mlp(self.relative_coords_table).flatten(0, 2)
        return gathered_bias(_LARGEST_BIAS * table.sigmoid(), self.relative_position_index)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend; see :class:`WindowAttention`."""
        shift = None if self.q_bias is None else torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        tokens = F.linear(x, self.qkv.weight, shift)
        query, key, value = tokens.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        factor = self.logit_scale.clamp(max=math.log(_LARGEST_SCALE)).exp()
        query = (F.normalize(query, dim=-1) * factor).to(value.dtype)
        key = F.normalize(key, dim=-1).to(value.dtype)
        dropout = self.attn_drop.p if self.training else 0.
        attended = attend_with_mask(query, key, value, self.position_bias(), mask, dropout, scale=1.)
        return self.proj_drop(self.proj(attended))
