"""Masking on the image: the encoder behind it stays ordinary."""
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...ops import resize_mask
from ...registry import MODELS


@MODELS.register_module()
class ImageTokenFill(BaseModule):
    """Replaces masked pixels by one learnable colour (FastMIM, arXiv 2212.06593).

    Args:
        channels: Channels of the images.
        std: Standard deviation of the token's normal initialisation, in normalised intensities.
    """

    def __init__(self, channels: int = 3, std: float = 0.02) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.std = std

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.normal_(self.mask_token, std=self.std)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Fill.

        Args:
            images: Normalised [B, C, H, W].
            mask: Bool [B, h, w] with h, w dividing H, W; True = masked.

        Returns:
            [B, C, H, W].
        """
        pixels = resize_mask(mask, tuple(images.shape[-2:])).unsqueeze(1)
        return torch.where(pixels, self.mask_token.to(images.dtype), images)
