"""Released checkpoints under the names of this package's models.

The values within a predicted patch lie (row, column, channel) in those of MAE, ConvMAE, MixMIM and mmpretrain: the
decoder that takes them says ``channels_last=True``. Fixed position embeddings bring their own order of channels along.
"""
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from . import layouts
from .layouts import to_unfolded
from .names import Names

# What a classifier has behind its encoder, and what is computed from the size.
_LEFT_OUT = re.compile(r'(head|fc_norm|head_dist|lm_head)\..+|.*\.attn_mask')
_NONE = Names()


@dataclass(frozen=True)
class Layout:
    """How a kind of file names and orders its tensors.

    Attributes:
        name: Whose layout it is.
        mark: An encoder's tensor by which it is known.
        encoder: Names of the encoder's tensors; None if they are those of this package.
        decoder: Names of all others.
        prefixes: What the encoder's names may begin with.
        only: What else is to be true of the weights.
    """
    name: str
    mark: str
    encoder: Names | None
    decoder: Names = _NONE
    prefixes: tuple[str, ...] = ('', )
    only: Callable[[Mapping[str, Tensor]], bool] = bool

    def prefix(self, weights: Mapping[str, Tensor]) -> str | None:
        """What the encoder's names begin with in weights of this layout; None for weights of another one."""
        found = next((prefix for prefix in self.prefixes if prefix + self.mark in weights), None)
        return found if found is not None and self.only(weights) else None

    def renamed(self, name: str, prefix: str) -> str | None:
        """Name in a :class:`~mim_plugins.models.MaskedImageModel`; None for an unknown tensor."""
        decoder = self.decoder.ours(name)
        if decoder or not name.startswith(prefix):
            return decoder
        name = name.removeprefix(prefix)
        encoder = name if self.encoder is None else self.encoder.ours(name)
        return encoder and f'backbone.{encoder}'

    def ordered(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor under its new name with its values in this package's order."""
        return to_unfolded(tensor) if layouts.merges(name, self.encoder) else tensor


def _has(*names: str) -> Callable[[Mapping[str, Tensor]], bool]:
    return lambda weights: any(name in weights for name in names)


def _image_token(weights: Mapping[str, Tensor]) -> bool:
    """Whether masked pixels are replaced by a colour, as FastMIM does."""
    return 'mask_token' in weights and weights['mask_token'].ndim == 4


_SIMMIM, _FASTMIM = ('SimMIM', layouts.SIMMIM_DECODER), ('FastMIM', layouts.FASTMIM_DECODER)
_WINDOWS, _VIT, _BEIT = 'layers.0.blocks.0.attn.qkv.weight', 'blocks.0.attn.qkv.weight', 'blocks.0.attn.q_bias'
_LOG_WINDOWS, _CMT, _PVTV2 = 'layers.0.blocks.0.attn.cpb_mlp.0.weight', 'stem_conv1.weight', 'patch_embed1.norm.weight'
# The first that fits counts.
LAYOUTS = (
    Layout('ConvMAE', 'patch_embed4.weight', None, layouts.MAE_DECODER),
    Layout("mmpretrain's MAE", 'patch_embed.projection.weight', None, layouts.MMPRETRAIN_DECODER, ('backbone.', ),
           _has('neck.decoder_embed.weight')),
    Layout('MixMIM', 'absolute_pos_embed', layouts.MIXMIM, layouts.MAE_DECODER, only=_has(_WINDOWS)),
    *(Layout(name, mark, encoder, decoder, ('encoder.', ), only)
      for (name, decoder), only in ((_SIMMIM, _has('encoder.mask_token')), (_FASTMIM, _image_token))
      for mark, encoder in ((_LOG_WINDOWS, layouts.SWINV2), (_WINDOWS, layouts.SWIN), (_BEIT, layouts.BEIT))),
    Layout('FastMIM', _CMT, layouts.CMT, layouts.FASTMIM_DECODER, ('encoder.', '')),
    Layout('FastMIM', _PVTV2, layouts.PVTV2, layouts.FASTMIM_DECODER, ('encoder.', '')),
    Layout('FastMIM', _VIT, layouts.VIT, layouts.FASTMIM_DECODER, only=_image_token),
    Layout('SwinV2', _LOG_WINDOWS, layouts.SWINV2, only=_has('layers.0.downsample.reduction.weight')),
    Layout("timm's SwinV2", _LOG_WINDOWS, layouts.SWINV2_TIMM),
    Layout('Swin', _WINDOWS, layouts.SWIN, only=_has('layers.0.downsample.reduction.weight')),
    Layout("timm's Swin", _WINDOWS, layouts.SWIN_TIMM),
    Layout('BEiT', _BEIT, layouts.BEIT),
    Layout('MAE', _VIT, layouts.VIT, layouts.MAE_DECODER),
)


def from_released(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str] | None:
    """Rename what is recognised as a released checkpoint.

    The layouts are those of MAE (arXiv 2111.06377; timm's ViT has the same), ConvMAE (arXiv 2205.03892), MixMIM
    (arXiv 2205.13137), SimMIM (arXiv 2111.09886; Swin, SwinV2 and its ViT), FastMIM (arXiv 2212.06593; ViT, Swin, CMT,
    PVTv2), of the classifiers Swin, SwinV2 and BEiT, their authors' and timm's, and of mmpretrain's MAE, MFF and
    PixMIM. Those with a decoder may come without. A classifier's head is left out.

    Args:
        weights: A state dict.

    Returns:
        The weights under the names of a :class:`~mim_plugins.models.MaskedImageModel`, and the name of their layout;
        None for any other layout, as a ViT's with tensors that MAE has not.
    """
    for layout in LAYOUTS:
        prefix = layout.prefix(weights)
        if prefix is not None:
            break
    else:
        return None
    renamed = {}
    for name, tensor in weights.items():
        if _LEFT_OUT.fullmatch(name):
            continue
        new = layout.renamed(name, prefix)
        if new is None:
            return None
        renamed[new] = layout.ordered(new, tensor)
    return renamed, layout.name
