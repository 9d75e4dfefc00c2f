"""Another image in the masked places, and how the encoder tells the two apart."""
from functools import partial
from math import isqrt
from typing import Literal

import torch
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ...errors import InputError
from ...ops import resize_mask
from ...registry import MODELS
from .base import Fill
from .inside import TokenDropFill, token_entry

Features = Tensor | tuple[Tensor, ...]


class Aid(nn.Module):
    """How an encoder is told the two images apart; it is told nothing here."""

    def attach(self, encoder: nn.Module) -> None:
        """Prepare for an encoder, or raise an InputError if it cannot be told."""

    def check_unit(self, unit: int) -> None:
        """Raise an InputError if units of this side in pixels cannot be told apart."""

    def expect(self, visible: int | None, units: int) -> None:
        """See :meth:`Fill.expect`."""

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Features:
        """Features for decoding the one image of mixed images [B, C, H, W] under [B, h, w]."""
        return encoder(images)

    def encode_both(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> tuple[Features, ...]:
        """See :meth:`MixFill.encode_both`."""
        return (self.encode(encoder, images, mask), )


class MaskedAttention(Aid):
    """Tokens see those of their own image only."""

    def __init__(self) -> None:
        super().__init__()
        self._dropping: TokenDropFill | None = None

    def attach(self, encoder: nn.Module) -> None:
        if hasattr(encoder, 'group_stride'):
            self._unit = encoder.group_stride
            _check_overlap(encoder)
            return
        if token_entry(encoder) is None and not getattr(encoder, 'drops_tokens', False):
            raise InputError(
                f"difficulty='masked_attention' needs an encoder that keeps two images apart (mim_plugins' "
                'MixMIMTransformer, ResizableSwin, PyramidVisionTransformer, MixedResNet, MixedTIMMEncoder, '
                f"ConvMAEEncoder, or a plain ViT with out_type='raw'), but {type(encoder).__name__} as it is configured"
                " would leak from one to the other or cannot drop tokens: take another one, or difficulty='none'")
        # A plain ViT has no path between tokens but attention: each image's tokens go through it by themselves.
        self._dropping = TokenDropFill()
        self._dropping.attach(encoder)

    def check_unit(self, unit: int) -> None:
        if self._dropping:
            self._dropping.check_unit(unit)
        elif unit % self._unit:
            raise InputError(f'mixed units of {unit} px cannot be kept apart by an encoder that merges squares of '
                             f'{self._unit} px')

    def expect(self, visible: int | None, units: int) -> None:
        if self._dropping:
            self._dropping.expect(visible, units)

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Features:
        return self._dropping.encode(encoder, images, mask) if self._dropping else encoder(images, mask)

    def encode_both(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> tuple[Features, ...]:
        first = self.encode(encoder, images, mask)
        return (first, self._dropping.encode(encoder, images, ~mask, inverted=True)) if self._dropping else (first, )


class MixEmbedding(Aid):
    """One learnable vector for each of the two images is added to its tokens at the begin of each stage.

    Args:
        std: Standard deviation of their normal initialisation.
    """

    def __init__(self, std: float = 0.02) -> None:
        super().__init__()
        self.std = std
        self.mix_embeddings = nn.ParameterList()
        self._mask: Tensor | None = None

    def attach(self, encoder: nn.Module) -> None:
        entry = token_entry(encoder)
        if hasattr(encoder, 'stage_entries'):
            entries = encoder.stage_entries()
        elif entry is not None:
            entries = [entry]
        else:
            raise InputError("difficulty='mix_embedding' needs an encoder whose stages are known (mim_plugins' "
                             'MixMIMTransformer, ResizableSwin, PyramidVisionTransformer, MixedResNet, '
                             f"MixedTIMMEncoder) or a plain ViT with out_type='raw', but got {type(encoder).__name__}")
        self._extra = getattr(encoder, 'num_extra_tokens', 0)
        for number, (module, width) in enumerate(entries):
            self.mix_embeddings.append(nn.Parameter(torch.randn(2, width) * self.std))
            module.register_forward_pre_hook(partial(self._add, number))  # which copies with the model, as EMA asks

    def _add(self, number: int, module: nn.Module, inputs: tuple) -> tuple:
        if self._mask is None:
            return inputs
        features, embedding = inputs[0], self.mix_embeddings[number]
        if features.ndim == 4:
            sides = resize_mask(self._mask, tuple(features.shape[-2:]))
            return (features + embedding.to(features.dtype)[sides.long()].movedim(-1, 1), *inputs[1:])
        extra, places = features[:, :self._extra], features[:, self._extra:]
        stride = isqrt(self._size[0] * self._size[1] // places.shape[1])
        sides = resize_mask(self._mask, (self._size[0] // stride, self._size[1] // stride)).flatten(1)
        return (torch.cat([extra, places + embedding.to(places.dtype)[sides.long()]], dim=1), *inputs[1:])

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Features:
        self._mask, self._size = mask, tuple(images.shape[-2:])
        try:
            return super().encode(encoder, images, mask)
        finally:
            self._mask = None


def _check_overlap(encoder: nn.Module) -> None:
    """Refuse an encoder that was configured to look over the borders of its patches."""
    if getattr(encoder, 'mixes_convolutions', False):
        return
    for name, module in encoder.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Unfold)):
            kernel, stride = to_2tuple(module.kernel_size), to_2tuple(module.stride)
            if any(size > step for size, step in zip(kernel, stride, strict=True)):
                raise InputError(
                    f"masked attention keeps two images apart, but {type(encoder).__name__}'s {name} looks at squares "
                    f'of {kernel[0]}x{kernel[1]} in steps of {stride[0]}x{stride[1]} and would leak from one to the '
                    'other')


_AIDS = {'masked_attention': MaskedAttention, 'mix_embedding': MixEmbedding, 'none': Aid}


@MODELS.register_module()
class MixFill(Fill):
    """Images that :class:`MixedMaskingDataPreprocessor` mixed go to the encoder as they are.

    MixMIM, arXiv 2205.13137, section 3.2. The difficulty is how much the encoder is told about which token is of which
    image: ``'masked_attention'`` lets tokens see those of their own image only, and a plain ViT, cls token and all,
    reads the two images' tokens one after the other; ``'mix_embedding'`` adds one learnable vector for each image to
    its tokens at the begin of each stage; ``'none'`` leaves it to the encoder to find out.

    Args:
        difficulty: One of these.

    Raises:
        InputError: Unknown difficulty, or, when the model is built, an encoder that would leak from one image to the
            other.
    """

    def __init__(self, difficulty: Literal['masked_attention', 'mix_embedding', 'none'] = 'masked_attention') -> None:
        super().__init__()
        if difficulty not in _AIDS:
            raise InputError(f'the difficulty must be one of {", ".join(_AIDS)}, but is {difficulty!r}')
        self.difficulty = difficulty
        self.enters_encoder = difficulty != 'none'
        self.aid = _AIDS[difficulty]()

    def attach(self, encoder: nn.Module) -> None:
        self.aid.attach(encoder)

    def check_unit(self, unit: int) -> None:
        self.aid.check_unit(unit)

    def expect(self, visible: int | None, units: int) -> None:
        self.aid.expect(visible, units)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return images

    def encode_both(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> tuple[Features, ...]:
        """Features for decoding both images.

        Args:
            encoder: The one that :meth:`attach` saw.
            images: Mixed and normalised [B, C, H, W].
            mask: Bool [B, h, w]; True = the partner's.

        Returns:
            One output of the encoder, in which the first image's places are those that are not masked and the partner's
            the others; or two, if the images' tokens went through the encoder by themselves.
        """
        return self.aid.encode_both(encoder, images, mask)

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Features:
        return self.aid.encode(encoder, images, mask)
