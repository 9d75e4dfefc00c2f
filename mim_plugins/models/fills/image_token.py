"""Masking on the image: the encoder behind it stays ordinary."""
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...ops import resize_mask
from ...registry import MODELS
from .base import Fill


@MODELS.register_module()
class ImageTokenFill(Fill):
    """Replaces masked pixels by one learnable colour, or by zeros (FastMIM, arXiv 2212.06593).

    Args:
        channels: Channels of the images.
        std: Standard deviation of the token's normal initialisation, in normalised intensities.
        learnable: False leaves masked pixels at 0, the mean of the normalisation.

    Raises:
        InputError: From a call, images of another number of channels.
    """

    def __init__(self, channels: int = 3, std: float = 0.02, learnable: bool = True) -> None:
        super().__init__()
        self.std = std
        self.learnable = learnable
        token = torch.zeros(1, channels, 1, 1)
        if learnable:
            self.mask_token = nn.Parameter(token)
        else:
            self.register_buffer('mask_token', token, persistent=False)

    def init_weights(self) -> None:
        super().init_weights()
        if self.learnable:
            nn.init.normal_(self.mask_token, std=self.std)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        if images.shape[1] != self.mask_token.shape[1]:
            raise InputError(f'a fill of {self.mask_token.shape[1]} channels got images of {images.shape[1]}')
        pixels = resize_mask(mask, tuple(images.shape[-2:])).unsqueeze(1)
        return torch.where(pixels, self.mask_token.to(images.dtype), images)
