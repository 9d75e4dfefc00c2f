"""Released checkpoints under the names of this package's models.

The values within a predicted patch lie (row, column, channel) in all of them: the decoder that takes them says
``channels_last=True``. Fixed position embeddings bring their own order of channels along.
"""
import re
from collections.abc import Mapping

from torch import Tensor

# Blocks of timm's kind -> mmpretrain's.
_BLOCK = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1', 'attn': 'attn'}
_DECODER = {'mask_token': 'mask_token', 'decoder_embed': 'embed', 'decoder_pos_embed': 'position_embedding',
            'decoder_norm': 'norm', 'decoder_pred': 'predict'}
_MAE = {'cls_token': 'cls_token', 'pos_embed': 'pos_embed', 'patch_embed.proj': 'patch_embed.projection', 'norm': 'ln1'}
# What a classifier has behind its encoder.
_HEAD = re.compile(r'(head|fc_norm|head_dist)\..+')
# Of the released layouts: a tensor that no other one has.
_MARKS = {
    'ConvMAE': 'patch_embed4.weight',
    'MAE': 'blocks.0.attn.qkv.weight',
    "mmpretrain's MAE": 'neck.decoder_embed.weight',
}


def _block(name: str, kind: str, place: str) -> str | None:
    """``<kind>.<number>.<part>`` of timm's kind as ``<place>.<number>.<part>`` of mmpretrain's."""
    match = re.fullmatch(rf'{kind}\.(\d+)\.({"|".join(map(re.escape, _BLOCK))})\.(.+)', name)
    return f'{place}.{match[1]}.{_BLOCK[match[2]]}.{match[3]}' if match else None


def _renamed(name: str, table: Mapping[str, str], place: str) -> str | None:
    """A name of a module in ``table``, or below one, as its name below ``place``."""
    for old, new in table.items():
        if name == old or name.startswith(f'{old}.'):
            return f'{place}.{new}{name[len(old):]}'
    return None


def _decoder(name: str) -> str | None:
    return _renamed(name, _DECODER, 'neck') or _block(name, 'decoder_blocks', 'neck.blocks')


def _mae(name: str) -> str | None:
    return _decoder(name) or _renamed(name, _MAE, 'backbone') or _block(name, 'blocks', 'backbone.layers')


def _convmae(name: str) -> str:
    return _decoder(name) or f'backbone.{name}'  # the encoder has the released names


def _mmpretrain(name: str) -> str | None:
    if not name.startswith('neck.'):
        return name
    name = name.removeprefix('neck.')
    return _renamed(name, {**_DECODER, 'ln1': 'norm', 'decoder_blocks': 'blocks'}, 'neck')


_RULES = {'ConvMAE': _convmae, 'MAE': _mae, "mmpretrain's MAE": _mmpretrain}


def from_released(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str] | None:
    """Rename what is recognised as a released checkpoint.

    The layouts are those of MAE (arXiv 2111.06377; timm's ViT has the same), ConvMAE (arXiv 2205.03892), each with or
    without decoder, and of mmpretrain's MAE, MFF and PixMIM. A classifier's head is left out.

    Args:
        weights: A state dict.

    Returns:
        The weights under the names of a :class:`~mim_plugins.models.MaskedImageModel`, and the name of their layout;
        None for any other layout, as a ViT's with tensors that MAE has not.
    """
    layout = next((layout for layout, mark in _MARKS.items() if mark in weights), None)
    if layout is None:
        return None
    renamed = {_RULES[layout](name): tensor for name, tensor in weights.items() if not _HEAD.fullmatch(name)}
    return None if None in renamed else (renamed, layout)
