"""The decoder 'NbMd': N transformer blocks, M wide."""
from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

from ...errors import InputError
from ...ops import map_to_tokens, tokens_to_map
from ...registry import MODELS


@MODELS.register_module()
class TransformerDecoder(BaseModule):
    """Linear, pre-norm transformer blocks, LayerNorm, Linear; no position embedding.

    FastMIM, arXiv 2212.06593. Extra tokens such as cls pass through the blocks
    and are dropped after prediction.

    Args:
        in_channels: Width of the encoder's last features.
        out_channels: Values predicted per token; the algorithm derives them from the target.
        stride: Pixels per token of the encoder's last features.
        num_extra_tokens: Leading tokens of the encoder that have no place in the image (cls: 1); features
            that come as a map have none.
        embed_dims: Width of the blocks.
        depth: Number of blocks.
        num_heads: Attention heads; None gives one per 32 channels.
        mlp_ratio: Hidden width of the blocks' MLP over their width.

    Raises:
        InputError: The heads do not divide the width.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, num_extra_tokens: int = 0,
                 embed_dims: int = 256, depth: int = 1, num_heads: int | None = None,
                 mlp_ratio: float = 4) -> None:
        super().__init__()
        num_heads = num_heads or max(1, embed_dims // 32)
        if embed_dims % num_heads:
            raise InputError(f'a decoder of width {embed_dims} cannot be divided among {num_heads} heads')
        self.in_channels = in_channels
        self.stride = stride
        self.num_extra_tokens = num_extra_tokens
        self.embed = nn.Linear(in_channels, embed_dims)
        self.blocks = nn.Sequential(*(
            TransformerEncoderLayer(embed_dims, num_heads, int(embed_dims * mlp_ratio),
                                    norm_cfg=dict(type='LN', eps=1e-6)) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.predict = nn.Linear(embed_dims, out_channels)

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: Tensor | Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Predict.

        Args:
            features: The encoder's output, or its stages of which the last is read: tokens
                [B, num_extra_tokens + N, in_channels] or a map [B, in_channels, h, w].
            size: The images' (H, W).

        Returns:
            [B, out_channels, H / stride, W / stride].

        Raises:
            InputError: The features do not lie on the grid that ``stride`` and ``size`` give.
        """
        features = features if isinstance(features, Tensor) else features[-1]
        grid = size[0] // self.stride, size[1] // self.stride
        tokens, extra = self._as_tokens(features, grid)
        tokens = self.predict(self.norm(self.blocks(self.embed(tokens))))
        return tokens_to_map(tokens[:, extra:], grid)

    def _as_tokens(self, features: Tensor, grid: tuple[int, int]) -> tuple[Tensor, int]:
        if features.ndim == 4:
            got, extra = 'a map of {}x{}'.format(*features.shape[-2:]), 0
            fits, features = tuple(features.shape[-2:]) == grid, map_to_tokens(features)
        else:
            got, extra = f'{features.shape[1]} tokens', self.num_extra_tokens
            fits = features.shape[1] == grid[0] * grid[1] + extra
        if not fits or features.shape[-1] != self.in_channels:
            raise InputError(
                f'the decoder expects features on a grid of {grid[0]}x{grid[1]} (stride {self.stride}, '
                f'{self.num_extra_tokens} extra tokens) with {self.in_channels} channels, but the encoder '
                f'gave {got} with {features.shape[-1]} channels')
        return features, extra
