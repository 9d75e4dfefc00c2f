"""What every fill shares: one call from images and mask to the encoder's features."""
from abc import abstractmethod

from mmengine.model import BaseModule
from torch import Tensor, nn


class Fill(BaseModule):
    """What stands in the masked places, on the image or further inside the encoder.

    Attributes:
        drops_tokens: The encoder's features are of the visible places alone; the decoder has to insert the others.
        enters_encoder: Masks are handed to modules inside of the encoder.
    """
    drops_tokens = False
    enters_encoder = False

    def attach(self, encoder: nn.Module) -> None:
        """Prepare for an encoder; called once, when the model is built.

        Raises:
            InputError: The encoder has no such place.
        """

    def check_unit(self, unit: int) -> None:
        """Raise an InputError if mask units of this side in pixels cannot be filled."""

    def expect(self, visible: int | None, units: int) -> None:
        """Learn that training masks leave ``visible`` of ``units`` units visible, None being unknown."""

    @abstractmethod
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """The images as the encoder sees them.

        Args:
            images: Normalised [B, C, H, W].
            mask: Bool [B, h, w] with h, w dividing H, W; True = masked.

        Returns:
            [B, C, H, W].
        """

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Features of the corrupted images: whatever ``encoder`` returns. Arguments as in :meth:`forward`."""
        return encoder(self(images, mask))
