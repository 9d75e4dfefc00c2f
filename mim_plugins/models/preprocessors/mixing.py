"""Mixing of images, which has no parameters, on the training device."""
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ...ops import patchify, resize_mask, unpatchify
from ...registry import MODELS
from .masking import MaskingDataPreprocessor

Content = Literal['mix', 'shuffle', 'zoom', 'none']
Pairing = Literal['flip', 'roll', 'permutation']


@MODELS.register_module()
class MixedMaskingDataPreprocessor(MaskingDataPreprocessor):
    """Normalises the images, draws their masks and fills the masked units with other content.

    MixMIM, arXiv 2205.13137, section 3.1 and its ablation of the filling content:

    - ``'mix'``: another image of the batch, which the algorithm may reconstruct as well.
    - ``'shuffle'``: the image's own masked units, in random order.
    - ``'zoom'``: the image's own centre, enlarged.
    - ``'none'``: the image stays as it is; a fill of the model puts zeros or a learnable token there.

    Args:
        content: One of these.
        pairing: Which image of a batch is the partner in a mix: ``'flip'`` takes the one as far from the batch's end
            (with an odd number of images, half a batch further on), ``'roll'`` the next one, ``'permutation'`` one at
            random. No image is ever its own partner.
        zoom: How much ``'zoom'`` enlarges, above 1.
        with_clean_inputs: With ``sample_mask_stride``, hand on two images instead of one, the mixed and the clean one,
            as mmpretrain's algorithms with two views want them (BEiT, CAE: the encoder's and the target's).
        **options: Those of :class:`MaskingDataPreprocessor`. With ``sample_mask_stride`` each ``data_sample`` also gets
            its ``partner``.

    Raises:
        InputError: An unknown option, a zoom that does not enlarge, or, from a call, a batch of one image to mix.
    """

    def __init__(self, content: Content = 'mix', pairing: Pairing = 'flip', zoom: float = 2.,
                 with_clean_inputs: bool = False, **options: Any) -> None:
        super().__init__(**options)
        for name, value, known in (('content', content, Content), ('pairing', pairing, Pairing)):
            if value not in get_args(known):
                raise InputError(f'the {name} must be one of {", ".join(get_args(known))}, but is {value!r}')
        if not isinstance(zoom, int | float) or zoom <= 1:
            raise InputError(f'the zoom must enlarge, so be a number above 1, but is {zoom!r}')
        if with_clean_inputs and not self.sample_mask_stride:
            raise InputError("with_clean_inputs is for mmpretrain's algorithms and goes with sample_mask_stride")
        self.content = content
        self.pairing = pairing
        self.zoom = zoom
        self.with_clean_inputs = with_clean_inputs

    def described(self) -> str:
        """What stands in the masked units, for a log."""
        return {'mix': f'another image, paired by {self.pairing}', 'shuffle': 'its own masked units, shuffled',
                'zoom': f'its own centre, {self.zoom:g} times enlarged', 'none': "what the model's fill puts there"}[
                    self.content]

    def partners(self, batch: int, generator: torch.Generator) -> Tensor:
        """Index of each image's partner in a batch, int64 [batch] on the generator's device.

        Raises:
            InputError: There is only one image.
        """
        if batch < 2:
            raise InputError(f'mixing needs at least two images in a batch, but {batch} came: a loader with '
                             'drop_last=True leaves out a last batch that is too small')
        places = torch.arange(batch, device=generator.device)
        if self.pairing == 'permutation':
            order = torch.randperm(batch, generator=generator, device=generator.device)
            return torch.empty_like(order).scatter_(0, order, order.roll(-1))  # one cycle through all
        if self.pairing == 'roll' or batch % 2:
            return places.roll(-1 if self.pairing == 'roll' else -(batch // 2))
        return places.flip(0)

    def corrupt(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Fill the masked units.

        Args:
            images: Normalised [B, C, H, W].
            mask: Bool [B, h, w], True = to be filled.
            generator: On the images' device.

        Returns:
            ``inputs`` filled, ``mask``, ``clean`` the images as they came, and for a mix ``partner`` int64 [B].

        Raises:
            InputError: One image only, to be mixed.
        """
        handed_on = dict(mask=mask, clean=images)
        if self.content == 'none':
            return dict(inputs=images, **handed_on)
        if self.content == 'shuffle':
            return dict(inputs=_shuffled(images, mask, generator), **handed_on)
        if self.content == 'zoom':
            other = _enlarged(images, self.zoom)
        else:
            handed_on['partner'] = self.partners(len(images), generator)
            other = images[handed_on['partner']]
        pixels = resize_mask(mask, tuple(images.shape[-2:])).unsqueeze(1)
        return dict(inputs=torch.where(pixels, other, images), **handed_on)

    def _for_samples(self, batch: dict) -> dict:
        if 'partner' in batch:
            for sample, partner in zip(batch['data_samples'], batch['partner'].tolist(), strict=True):
                sample.set_field(partner, 'partner', dtype=int)
        handed_on = super()._for_samples(batch)
        if self.with_clean_inputs:
            handed_on['inputs'] = [batch['inputs'], batch['clean']]
        return handed_on


def _shuffled(images: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Each image's masked units in random order among their places."""
    masked, unit = mask.flatten(1), images.shape[-2] // mask.shape[1]
    noise = torch.rand(masked.shape, generator=generator, device=masked.device)
    # Both orders have the masked units first; behind them each visible one meets itself.
    order = masked.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    drawn = noise.masked_fill(~masked, 2).argsort(dim=1, stable=True)
    source = torch.empty_like(order).scatter_(1, order, drawn)
    units = patchify(images, unit)
    moved = units.gather(1, source.unsqueeze(-1).expand_as(units))
    return unpatchify(moved, tuple(mask.shape[1:]), unit)


def _enlarged(images: Tensor, zoom: float) -> Tensor:
    """The centre of images [B, C, H, W], as large as they are (bicubic)."""
    height, width = images.shape[-2:]
    rows, columns = max(1, round(height / zoom)), max(1, round(width / zoom))
    top, left = (height - rows) // 2, (width - columns) // 2
    center = images[..., top:top + rows, left:left + columns].float()
    return F.interpolate(center, (height, width), mode='bicubic', align_corners=False).to(images.dtype)
