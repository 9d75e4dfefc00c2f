"""The decoder 'NbMd': N transformer blocks, M wide."""
from collections.abc import Sequence
from typing import Any

from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS
from ..backbones.recomputation import recompute_blocks
from ..initialization import init_linear
from ..position_tables import SinCosTable
from .base import Decoder


@MODELS.register_module()
class TransformerDecoder(SinCosTable, Decoder):
    """Linear, pre-norm transformer blocks, LayerNorm, Linear.

    FastMIM, arXiv 2212.06593. Extra tokens such as cls pass through the blocks and are dropped after
    prediction.

    Args:
        embed_dims: Width of the blocks.
        depth: Number of blocks.
        num_heads: Attention heads; None gives one per 32 channels.
        mlp_ratio: Hidden width of the blocks' MLP over their width.
        with_position_embedding: Add a fixed sine-cosine embedding after the first Linear; FastMIM has none.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: Those of :class:`Decoder`.

    Raises:
        InputError: The heads do not divide the width; from a call, positions of another size.
    """

    def __init__(self, embed_dims: int = 256, depth: int = 1, num_heads: int | None = None, mlp_ratio: float = 4,
                 with_position_embedding: bool = False, with_cp: bool = False, **options: Any) -> None:
        super().__init__(**options)
        num_heads = num_heads or max(1, embed_dims // 32)
        if embed_dims % num_heads:
            raise InputError(f'a decoder of width {embed_dims} cannot be divided among {num_heads} heads')
        self.with_position_embedding = with_position_embedding
        if with_position_embedding:
            self.add_table('position_embedding', embed_dims, self.num_extra_tokens)
        self.embed = nn.Linear(self.in_channels, embed_dims)
        self.blocks = nn.Sequential(*(
            TransformerEncoderLayer(embed_dims, num_heads, int(embed_dims * mlp_ratio),
                                    norm_cfg=dict(type='LN', eps=1e-6)) for _ in range(depth)))
        if with_cp:
            recompute_blocks(self.blocks)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.predict = nn.Linear(embed_dims, self.values_per_token)

    def init_weights(self) -> None:
        super().init_weights()
        init_linear(self, nn.init.xavier_uniform_)

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Make the position embedding for images of ``size`` (H, W)."""
        if self.with_position_embedding:
            self.set_table_grid(self.grid(size))

    def _positions(self, size: tuple[int, int]) -> Tensor:
        if self.position_embedding.shape[1] != self.num_extra_tokens + self.grid(size)[0] * self.grid(size)[1]:
            raise InputError(f"the decoder's positions are not those of images of {size[0]}x{size[1]}: call "
                             'set_input_size first')
        return self.position_embedding

    def embedded(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                 mask: Tensor | None) -> tuple[Tensor, int]:
        """Tokens [B, extra + N, embed_dims] before positions are added, and how many of them are extra."""
        tokens, extra = self.as_tokens(features, size)
        return self.embed(tokens), extra

    def forward(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                mask: Tensor | None = None) -> Tensor:
        tokens, extra = self.embedded(features, size, mask)
        if self.with_position_embedding:
            tokens = tokens + self._positions(size)[:, self.num_extra_tokens - extra:].to(tokens)
        tokens = self.predict(self.norm(self.blocks(tokens)))
        return self.lay_out(tokens[:, extra:], size)
