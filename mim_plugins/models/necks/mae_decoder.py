from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...ops import resize_mask, visible_places
from ...registry import MODELS
from .transformer_decoder import TransformerDecoder


@MODELS.register_module()
class MAEDecoder(TransformerDecoder):
    """A transformer decoder with one learnable token in all masked places.

    MAE, arXiv 2111.06377, section 3. The visible tokens come alone, as :class:`TokenDropFill` leaves them, in the order
    of the grid, or with those of all places, of which the masked ones are then replaced (MixMIM, arXiv 2205.13137). A
    fixed sine-cosine embedding tells the learnable ones apart.

    Args:
        embed_dims: Width of the blocks.
        depth: Number of blocks.
        num_heads: Attention heads; None gives one per 32 channels.
        mlp_ratio: Hidden width of the blocks' MLP over their width.
        with_cp: As in :class:`TransformerDecoder`.
        **options: Those of :class:`Decoder`.

    Raises:
        InputError: From a call, no mask, or features that are neither of the visible nor of all places.
    """
    inserts_mask_tokens = True

    def __init__(self, embed_dims: int = 512, depth: int = 8, num_heads: int | None = None, mlp_ratio: float = 4,
                 with_cp: bool = False, **options: Any) -> None:
        super().__init__(embed_dims, depth, num_heads, mlp_ratio, with_position_embedding=True, with_cp=with_cp,
                         **options)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.normal_(self.mask_token, std=.02)

    def embedded(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                 mask: Tensor | None) -> tuple[Tensor, int]:
        if mask is None:
            raise InputError(f'{type(self).__name__} needs the mask that the encoder worked under, but none came')
        features = features if isinstance(features, Tensor) else features[-1]
        grid, extra = self.grid(size), self.num_extra_tokens
        number, visible = grid[0] * grid[1], features.shape[1] - extra
        if features.ndim == 4 or visible == number:
            tokens, extra = super().embedded(features, size, mask)
            masked = resize_mask(mask, grid).flatten(1).unsqueeze(-1)
            full = torch.where(masked, self.mask_token.to(tokens.dtype), tokens[:, extra:])
            return torch.cat([tokens[:, :extra], full], dim=1), extra
        if features.ndim != 3 or features.shape[-1] != self.in_channels or not 0 < visible <= number:
            raise InputError(
                f'the decoder expects {extra} extra and at most {number} visible tokens of {self.in_channels} '
                f'channels, as TokenDropFill leaves them, but the encoder gave {list(features.shape)}')
        tokens = self.embed(features)
        places = visible_places(mask, grid, visible).unsqueeze(-1)
        full = self.mask_token.to(tokens.dtype).expand(len(tokens), number, -1)
        full = full.scatter(1, places.expand(-1, -1, tokens.shape[-1]), tokens[:, extra:])
        return torch.cat([tokens[:, :extra], full], dim=1), extra
