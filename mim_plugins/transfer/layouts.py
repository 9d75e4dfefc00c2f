"""Names and orders of tensors in the released files of encoders and decoders.

Decoders' templates are those of a whole :class:`~mim_plugins.models.MaskedImageModel`, encoders' those of its backbone.
"""
from torch import Tensor

from .names import Names, below

_FFN = (('ffn.layers.0.0', 'mlp.fc1'), ('ffn.layers.1', 'mlp.fc2'))
_BLOCK = (('ln1', 'norm1'), ('attn', 'attn'), ('ln2', 'norm2'), *_FFN)
_VIT = (('cls_token', 'cls_token'), ('pos_embed', 'pos_embed'), ('patch_embed.projection', 'patch_embed.proj'),
        ('ln1', 'norm'), *below('layers.*', 'blocks.*', _BLOCK))
VIT = Names(*_VIT)
BEIT = Names(*_VIT, *below('layers.*', 'blocks.*', (('gamma_1', 'gamma_1'), ('gamma_2', 'gamma_2'))),
             ('rel_pos_bias', 'rel_pos_bias'))

_PATCHES = (('patch_embed.projection', 'patch_embed.proj'), ('patch_embed.norm', 'patch_embed.norm'))
_SWIN = (*_PATCHES, ('norm3', 'norm'), *below('stages.*.blocks.*', 'layers.*.blocks.*', (
    ('norm1', 'norm1'), ('attn.w_msa', 'attn'), ('norm2', 'norm2'), *_FFN)))
# The layer that merges patches belongs to the stage before it or to the one behind it.
SWIN = Names(*_SWIN, ('stages.*.downsample', 'layers.*.downsample'))
SWIN_TIMM = Names(*_SWIN, *((f'stages.{stage}.downsample', f'layers.{stage + 1}.downsample') for stage in range(3)))
SWINV2 = Names(*_SWIN, *((f'stages.{stage + 1}.downsample', f'layers.{stage}.downsample') for stage in range(3)))
SWINV2_TIMM = Names(*SWIN.pairs)
MIXMIM = Names(*_PATCHES, ('norm', 'norm'), ('absolute_pos_embed', 'absolute_pos_embed'),
               ('layers.*.downsample', 'layers.*.downsample'),
               *below('layers.*.blocks.*', 'layers.*.blocks.*', _BLOCK))
# FastMIM's: stages have letters.
CMT = Names(
    ('norm', 'norm'),
    *(pair for number in range(3) for pair in (
        (f'stem.{3 * number}', f'stem_conv{number + 1}'), (f'stem.{3 * number + 2}', f'stem_norm{number + 1}'))),
    *(pair for number, letter in enumerate('abcd') for pair in (
        (f'position_biases.{number}', f'relative_pos_{letter}'),
        *below(f'patch_embeds.{number}', f'patch_embed_{letter}', (('projection', 'proj'), ('norm', 'norm'))),
        *below(f'stages.{number}.*', f'blocks_{letter}.*', (
            ('local', 'proj'), ('norm1', 'norm1'), ('norm2', 'norm2'), ('attn.query', 'attn.q'), ('attn.key', 'attn.k'),
            ('attn.value', 'attn.v'), ('attn.proj', 'attn.proj'), ('attn.reduce', 'attn.sr'),
            ('ffn.expand', 'mlp.conv1'), ('ffn.depthwise', 'mlp.proj'), ('ffn.act.1', 'mlp.proj_bn'),
            ('ffn.shrink', 'mlp.conv2'))))))
# The authors' PVTv2 -> timm's in TIMMEncoder.
PVTV2 = Names(
    ('timm_model.patch_embed', 'patch_embed1'),
    *((f'timm_model.stages.{stage - 1}.downsample', f'patch_embed{stage}') for stage in (2, 3, 4)),
    *(pair for stage in (1, 2, 3, 4) for pair in (
        (f'timm_model.stages.{stage - 1}.blocks.*.mlp.dwconv', f'block{stage}.*.mlp.dwconv.dwconv'),
        (f'timm_model.stages.{stage - 1}.blocks.*', f'block{stage}.*'),
        (f'timm_model.stages.{stage - 1}.norm', f'norm{stage}'))))

_BLOCKS = tuple(below('neck.blocks.*', 'decoder_blocks.*', _BLOCK))
_LINEAR = (('neck.embed', 'decoder_embed'), ('neck.norm', 'decoder_norm'), ('neck.predict', 'decoder_pred'))
MAE_DECODER = Names(('neck.mask_token', 'mask_token'), ('neck.position_embedding', 'decoder_pos_embed'), *_LINEAR,
                    *_BLOCKS)
MMPRETRAIN_DECODER = Names(
    ('neck.mask_token', 'neck.mask_token'), ('neck.position_embedding', 'neck.decoder_pos_embed'),
    ('neck.norm', 'neck.ln1'), ('neck.blocks', 'neck.decoder_blocks'),
    *((ours, f'neck.{theirs}') for ours, theirs in _LINEAR))
FASTMIM_DECODER = Names(('fill.mask_token', 'mask_token'), *_LINEAR, *_BLOCKS)
SIMMIM_DECODER = Names(('fill.mask_token', 'encoder.mask_token'), ('neck.predict', 'decoder.0'))


def merges(name: str, names: Names) -> bool:
    """Whether an encoder's tensor, called ``name`` here, runs over the channels of merged patches."""
    behind = names in (SWINV2, SWINV2_TIMM)  # its norm comes behind the reduction
    return names in (SWIN, SWIN_TIMM, SWINV2, SWINV2_TIMM, MIXMIM) and '.downsample.' in name and not (
        behind and '.norm.' in name)


def to_unfolded(tensor: Tensor) -> Tensor:
    """Channels of 2x2 merged patches as mmcv's unfold lays them, [..., C * 4], from the order of Swin's authors.

    Theirs is [..., 4 * C] with the places (0, 0), (1, 0), (0, 1), (1, 1), each (row, column).
    """
    return tensor.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :].transpose(-1, -2).flatten(-2)


def from_unfolded(tensor: Tensor) -> Tensor:
    """The inverse of :func:`to_unfolded`."""
    return tensor.unflatten(-1, (-1, 4)).transpose(-1, -2)[..., [0, 2, 1, 3], :].flatten(-2)
