"""Fills inside the encoder: a forward hook on one of its modules, so that its forward stays its own."""
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from ...compat import assert_on_device
from ...errors import InputError
from ...ops import resize_mask, visible_count, visible_places
from ...registry import MODELS
from .base import Fill


def _inner(encoder: nn.Module) -> nn.Module:
    """The model that a timm wrapper holds, or the encoder itself."""
    return getattr(encoder, 'timm_model', encoder)


def _projection(encoder: nn.Module) -> nn.Conv2d | None:
    """The convolution that embeds patches, if there is one and its patches do not overlap."""
    embedding = getattr(_inner(encoder), 'patch_embed', None)
    found = [module for module in embedding.modules() if isinstance(module, nn.Conv2d)] if embedding else []
    return found[0] if len(found) == 1 and found[0].kernel_size == found[0].stride else None


def token_entry(encoder: nn.Module) -> tuple[nn.Module, int] | None:
    """The module of a plain ViT that its tokens [B, extra + N, C] come into right behind their positions, and C."""
    inner, projection = _inner(encoder), _projection(encoder)
    place = inner.drop_after_pos if isinstance(inner, VisionTransformer) else getattr(inner, 'patch_drop', None)
    if place is None or projection is None or getattr(encoder, 'out_type', 'raw') != 'raw':
        return None
    return place, projection.out_channels


class HookFill(Fill):
    """A fill that changes what one module of the encoder gives, while a mask is at work.

    The hook is registered once and does nothing on other calls of the encoder; ``backbone.*`` keeps its
    names for transfer, and the token's gradient flows inside the algorithm's own forward.
    """

    enters_encoder = True
    patch: tuple[int, int]

    def __init__(self) -> None:
        super().__init__()
        self._mask: Tensor | None = None

    def check_unit(self, unit: int) -> None:
        if any(unit % side for side in self.patch):
            raise InputError('mask units of {} px cannot be laid on patches of {}x{} px'.format(unit, *self.patch))

    def _hook(self, module: nn.Module, inputs: tuple, output: object) -> object:
        return output if self._mask is None else self.change(module, inputs, output, self._mask)

    @abstractmethod
    def change(self, module: nn.Module, inputs: tuple, output: object, mask: Tensor) -> object:
        """What the module gives under what :meth:`encode` put to work."""

    @contextmanager
    def _at_work(self, mask: Tensor) -> Iterator[None]:
        self._mask = mask
        try:
            yield
        finally:
            self._mask = None

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        # A picture of what is not seen; the encoder itself gets the images.
        return images.masked_fill(resize_mask(mask, tuple(images.shape[-2:])).unsqueeze(1), 0)

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor) -> Tensor | tuple[Tensor, ...]:
        with self._at_work(mask):
            return encoder(images)


@MODELS.register_module()
class PatchTokenFill(HookFill):
    """Replaces masked tokens by a learnable one, after patch and before position embedding.

    SimMIM, arXiv 2111.09886, section 3.2. For encoders with one patch embedding whose patches do not
    overlap: mmpretrain's ViT, BEiT, Swin and SwinV2, and timm's of that kind.

    Args:
        std: Standard deviation of the token's truncated normal initialisation.
        bound: The token's largest absolute value. SimMIM's Swin does not cut in effect, its ViT at 0.02.
    """

    def __init__(self, std: float = 0.02, bound: float = 2.) -> None:
        super().__init__()
        self.std = std
        self.bound = bound

    def attach(self, encoder: nn.Module) -> None:
        projection = _projection(encoder)
        if projection is None:
            raise InputError(f'{type(self).__name__} needs an encoder with one patch embedding without overlap, which '
                             f'{type(_inner(encoder)).__name__} has not: mask on the image instead, with '
                             'mim_plugins.ImageTokenFill')
        self.patch = projection.stride
        self.mask_token = nn.Parameter(torch.zeros(1, 1, projection.out_channels))
        _inner(encoder).patch_embed.register_forward_hook(self._hook)

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.trunc_normal_(self.mask_token, std=self.std, a=-self.bound, b=self.bound)

    def change(self, module: nn.Module, inputs: tuple, output: Tensor | tuple, mask: Tensor) -> Tensor | tuple:
        tokens, *grid = output if isinstance(output, tuple) else (output, )
        height, width = inputs[0].shape[-2:]
        masked = resize_mask(mask, (height // self.patch[0], width // self.patch[1]))
        masked = masked if tokens.ndim == 4 else masked.flatten(1)  # timm may keep [B, h, w, C]
        filled = torch.where(masked.unsqueeze(-1), self.mask_token.to(tokens.dtype), tokens)
        return (filled, *grid) if grid else filled


@MODELS.register_module()
class TokenDropFill(HookFill):
    """Keeps masked tokens from the encoder: what it gives are the visible ones, in the order of the grid.

    MAE's corruption (arXiv 2111.06377, section 3; FastMIM, arXiv 2212.06593, ablates it); goes with
    :class:`MAEDecoder`. For mmpretrain's and timm's plain ViT, whose own forward resizes position embeddings, and for
    encoders that drop tokens by themselves: those have an attribute ``drops_tokens``, a ``stride`` in pixels, and a
    forward that takes the mask (:class:`ConvMAEEncoder`).

    In a training on a GPU the number of visible tokens is the one that the algorithm announced, which the device checks
    without being waited for; elsewhere it is counted.

    Raises:
        InputError: From a batch whose masks differ in their number of masked tokens.
    """

    drops_tokens = True

    def __init__(self) -> None:
        super().__init__()
        self._expected: tuple[int, int] | None = None

    def attach(self, encoder: nn.Module) -> None:
        if getattr(encoder, 'drops_tokens', False):
            self.patch = (encoder.stride, encoder.stride)
            return
        entry = token_entry(encoder)
        if entry is None:
            raise InputError("TokenDropFill needs a plain ViT, mmpretrain's with out_type='raw' or timm's, or an "
                             f'encoder that drops tokens by itself, but got {type(_inner(encoder)).__name__}')
        self.patch = _projection(encoder).stride
        self.num_extra_tokens = encoder.num_extra_tokens
        entry[0].register_forward_hook(self._hook)

    def expect(self, visible: int | None, units: int) -> None:
        self._expected = None if visible is None else (visible, units)

    def _number(self, mask: Tensor, grid: tuple[int, int], inverted: bool) -> int:
        """Visible tokens of each sample."""
        visible, units = self._expected or (0, 0)
        if not self.training or mask[0].numel() != units or _on_host(mask):
            return visible_count(mask, grid)
        visible = units - visible if inverted else visible
        assert_on_device(
            (mask.flatten(1).sum(1) == units - visible).all(),
            f'masks of a training must leave {visible} of {units} units visible in every sample, as its mask strategy '
            'says, but some do not')
        return visible * grid[0] * grid[1] // units

    def change(self, module: nn.Module, inputs: tuple, output: Tensor, mask: Tensor) -> Tensor:
        extra, tokens = output[:, :self.num_extra_tokens], output[:, self.num_extra_tokens:]
        return torch.cat([extra, tokens.gather(1, mask.expand(-1, -1, tokens.shape[-1]))], dim=1)

    def encode(self, encoder: nn.Module, images: Tensor, mask: Tensor,
               inverted: bool = False) -> Tensor | tuple[Tensor, ...]:
        """See :meth:`Fill.encode`; an ``inverted`` mask leaves visible what those that were announced do not."""
        grid = tuple(side // step for side, step in zip(images.shape[-2:], self.patch, strict=True))
        number = self._number(mask, grid, inverted)
        if getattr(encoder, 'drops_tokens', False):
            return encoder(images, mask, number)
        return super().encode(encoder, images, visible_places(mask, grid, number).unsqueeze(-1))


def _on_host(mask: Tensor) -> bool:
    """Whether looking at a mask's values makes nobody wait."""
    return mask.device.type == 'cpu' and not torch.compiler.is_compiling()
