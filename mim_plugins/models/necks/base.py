"""What every decoder shares: features in any form come in, a map on the target's grid goes out."""
from abc import abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...ops import map_to_tokens, tokens_to_map, unpatchify


class Decoder(BaseModule):
    """Predicts a target's map from an encoder's last features.

    Args:
        in_channels: Width of the encoder's last features.
        out_channels: Values predicted per cell of the target; the algorithm states it.
        stride: Pixels per token of the encoder's last features.
        out_stride: Pixels per cell of the target, a divisor of ``stride``; the algorithm states it.
        num_extra_tokens: Leading tokens of the encoder that have no place in the image (cls: 1); features
            that come as a map have none.
        channels_last: Order in which a predicted token holds its cells' values: (row, column, channel) or
            (channel, row, column). FastMIM's released pixel checkpoints have the former.

    Attributes:
        inserts_mask_tokens: Features of the visible places are enough; the others are filled in.

    Raises:
        InputError: Tokens do not hold whole cells of the target.
    """
    inserts_mask_tokens = False

    def __init__(self, in_channels: int, out_channels: int, stride: int, out_stride: int, num_extra_tokens: int = 0,
                 channels_last: bool = False) -> None:
        super().__init__()
        if stride % out_stride:
            raise InputError(f'tokens of {stride} px cannot predict whole target cells of {out_stride} px')
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        self.out_stride = out_stride
        self.num_extra_tokens = num_extra_tokens
        self.channels_last = channels_last

    @property
    def values_per_token(self) -> int:
        """Values that one token predicts."""
        return self.out_channels * (self.stride // self.out_stride)**2

    @abstractmethod
    def forward(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                mask: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            features: The encoder's output, or its stages of which the last is read: tokens
                [B, num_extra_tokens + N, in_channels] or a map [B, in_channels, h, w].
            size: The images' (H, W).
            mask: Bool [B, h, w], True = masked, for decoders that put something into the masked places.

        Returns:
            [B, out_channels, H / out_stride, W / out_stride].

        Raises:
            InputError: The features do not lie on the grid that ``stride`` and ``size`` give.
        """

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Tokens in height and width for images of ``size`` (H, W)."""
        return size[0] // self.stride, size[1] // self.stride

    def as_tokens(self, features: Tensor | Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, int]:
        """Last features as tokens [B, extra + N, in_channels], and how many of them are extra.

        Raises:
            InputError: The features do not lie on the grid that ``stride`` and ``size`` give.
        """
        features = features if isinstance(features, Tensor) else features[-1]
        grid = self.grid(size)
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

    def as_map(self, features: Tensor | Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Last features as a map [B, in_channels, h, w] without extra tokens; raises as :meth:`as_tokens`."""
        tokens, extra = self.as_tokens(features, size)
        return tokens_to_map(tokens[:, extra:], self.grid(size))

    def lay_out(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Spread predicted tokens [B, N, values_per_token] over the target's grid."""
        return unpatchify(tokens, self.grid(size), self.stride // self.out_stride, self.channels_last)
