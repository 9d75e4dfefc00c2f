from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from ..fills import MixFill
from .base import MaskedImageModel


@MODELS.register_module()
class MixMIM(MaskedImageModel):
    """MixMIM: an image with units of another one, and both reconstructed (arXiv 2205.13137, section 3).

    The encoder sees the mixed image. The decoder gets the tokens of the one image, and those of the other, with mask
    tokens in all other places. With the head's usual region, the masked one, the loss of each mixed image is the mean
    over all its patches, each predicted for the image that it does not show.

    Args:
        dual: Reconstruct both images, or only the one whose units are not masked.
        **parts: Those of :class:`MaskedImageModel`; the preprocessor is a :class:`MixedMaskingDataPreprocessor`, the
            fill usually :class:`MixFill`, the neck usually :class:`MAEDecoder`.

    Raises:
        InputError: Parts that do not make two images to reconstruct, or see :class:`MaskedImageModel`.
    """
    takes_mixed_images = True

    def __init__(self, dual: bool = True, **parts: Any) -> None:
        self.dual = dual
        super().__init__(**parts)
        content = self.data_preprocessor.content
        if (content == 'none') == isinstance(self.fill, MixFill):
            raise InputError("content='none' of the preprocessor leaves the filling to a fill such as ImageTokenFill, "
                             f'other content goes with MixFill, but {content!r} came with {type(self.fill).__name__}')
        if content in ('shuffle', 'zoom') and self.fill.difficulty == 'masked_attention':
            raise InputError(f'content={content!r} would make no difference, because masked attention keeps it from '
                             "all that is reconstructed: take difficulty='none' or 'mix_embedding' in the fill")
        if getattr(self.fill, 'difficulty', None) == 'masked_attention' and not self.neck.inserts_mask_tokens:
            raise InputError('masked attention keeps all of an image from its masked places, so it goes with a decoder '
                             f'that puts mask tokens there, as MAEDecoder, but came with {type(self.neck).__name__}')
        if dual and not (content == 'mix' and self.neck.inserts_mask_tokens):
            raise InputError("dual=True reconstructs two mixed images: it needs content='mix' and a decoder that puts "
                             f'mask tokens in the place of the other image, as MAEDecoder, but came with {content!r} '
                             f'and {type(self.neck).__name__}; take dual=False')

    def described(self) -> str:
        """What is reconstructed, for a log."""
        aid = f', difficulty {self.fill.difficulty}' if isinstance(self.fill, MixFill) else ''
        return ('both images' if self.dual else 'one image') + aid

    def predict_both(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Maps [2B, C, H, W]: of the images whose units are not masked, then of their partners."""
        size = tuple(inputs.shape[-2:])
        seen = self.fill.encode_both(self.backbone, inputs, mask)
        if len(seen) == 2:
            return torch.cat([self.neck(part, size, side) for part, side in zip(seen, (mask, ~mask), strict=True)])
        last = seen[0] if isinstance(seen[0], Tensor) else seen[0][-1]
        return self.neck(torch.cat([last, last]), size, torch.cat([mask, ~mask]))

    def loss(self, inputs: Tensor, mask: Tensor, clean: Tensor | None = None, partner: Tensor | None = None,
             target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Losses.

        Args:
            inputs: Normalised and mixed [B, C, H, W]; or clean ones, which are then mixed here.
            mask: Bool [B, h, w]; True = the partner's, or what else was filled in.
            clean: The images before they were mixed.
            partner: Index of each image's partner, int64 [B].
            target_inputs: As of :meth:`MaskedImageModel.loss`, of the clean images.

        Raises:
            InputError: Mixed images without the clean ones or without their partners.
        """
        if (clean is None) != (partner is None) and self.data_preprocessor.content == 'mix':
            raise InputError('mixed images need the clean ones and their partners, but only one of them came: hand on '
                             'all that the preprocessor gives')
        if clean is None:
            return self.loss(**self._mixed(inputs, mask, target_inputs))
        if not self.dual:
            return super().loss(inputs, mask, clean, target_inputs)
        target = self.target(clean, target_inputs)
        loss = self.head.loss(
            self.predict_both(inputs, mask), torch.cat([target, target[partner]]), torch.cat([mask, ~mask]))
        return dict(loss=loss, **self.watched())

    def reconstruct(self, inputs: Tensor, mask: Tensor, clean: Tensor | None = None, partner: Tensor | None = None,
                    target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """As :meth:`MaskedImageModel.reconstruct`, of the images whose units are not masked; arguments as in
        :meth:`loss`."""
        if clean is None:
            both = self.reconstruct(**self._mixed(inputs, mask, target_inputs))
            return {name: part[:len(inputs)] for name, part in both.items()}
        return super().reconstruct(inputs, mask, clean, target_inputs)

    def _mixed(self, images: Tensor, mask: Tensor, target_inputs: dict[str, Tensor] | None) -> dict:
        """Clean images as the preprocessor would mix them, always in the same way; one alone with its mirror image."""
        if len(images) == 1:
            # Stored features are not those of the mirror image.
            other = images.flip(-1) if target_inputs is None else images
            images, mask = torch.cat([images, other]), torch.cat([mask, mask])
            target_inputs = target_inputs and {name: torch.cat([part, part]) for name, part in target_inputs.items()}
        generator = torch.Generator(images.device).manual_seed(0)
        return dict(self.data_preprocessor.corrupt(images, mask, generator), target_inputs=target_inputs)
