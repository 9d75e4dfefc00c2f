"""Decoders that predict each token on its own."""
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...ops import map_to_tokens
from ...registry import MODELS
from .base import Decoder


@MODELS.register_module()
class LinearDecoder(Decoder):
    """One 1x1 convolution that predicts all cells of a token.

    SimMIM, arXiv 2111.09886, section 3.3. The weights keep PyTorch's initialisation, as in the released code.

    Args:
        **options: Those of :class:`Decoder`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.predict = nn.Conv2d(self.in_channels, self.values_per_token, 1)

    def forward(self, features: Tensor | Sequence[Tensor], size: tuple[int, int],
                mask: Tensor | None = None) -> Tensor:
        return self.lay_out(map_to_tokens(self.predict(self.as_map(features, size))), size)


@MODELS.register_module()
class MLPDecoder(LinearDecoder):
    """Two 1x1 convolutions with a GELU between them (SimMIM, arXiv 2111.09886, section 3.3).

    Args:
        hidden_channels: Width between the convolutions.
        **options: Those of :class:`Decoder`.
    """

    def __init__(self, hidden_channels: int = 1024, **options: Any) -> None:
        super().__init__(**options)
        self.predict = nn.Sequential(
            nn.Conv2d(self.in_channels, hidden_channels, 1), nn.GELU(),
            nn.Conv2d(hidden_channels, self.values_per_token, 1))
