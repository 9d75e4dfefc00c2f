"""Encoders under timm's names, compared with timm's model on the spot."""
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.backbones.window_attention import stage_windows
from ..ops import read_size
from .layouts import BEIT, SWIN_TIMM, SWINV2_TIMM, VIT, from_unfolded, merges
from .names import Names

# Of features of a size around 1, as behind a LayerNorm.
_TOLERANCE = 1e-5


def _plain_options(encoder: nn.Module) -> dict:
    arch = encoder.arch_settings
    return dict(embed_dim=arch['embed_dims'], depth=arch['num_layers'], num_heads=arch['num_heads'],
                mlp_ratio=arch['feedforward_channels'] / arch['embed_dims'])


def _vit(encoder: nn.Module, settings: Mapping[str, Any]) -> tuple[str, dict, Names]:
    cls = settings.get('with_cls_token', True)
    return 'vit_base_patch16_224', dict(
        _plain_options(encoder), class_token=cls, global_pool='token' if cls else 'avg', fc_norm=False), VIT


def _beit(encoder: nn.Module, settings: Mapping[str, Any]) -> tuple[str, dict, Names]:
    scale = settings.get('layer_scale_init_value')
    return 'beit_base_patch16_224', dict(
        _plain_options(encoder), init_values=scale or None, global_pool='token',
        use_rel_pos_bias=bool(settings.get('use_rel_pos_bias', True)), use_abs_pos_emb=False), BEIT


def _windows(encoder: nn.Module, settings: Mapping[str, Any]) -> dict:
    size, patch = read_size(settings['img_size']), settings.get('patch_size', 4)
    window = encoder._window(size)
    grid = size[0] // patch, size[1] // patch
    if encoder._stage_grids(size)[-1] != tuple(side // 2**(len(encoder.stages) - 1) for side in grid):
        raise InputError(f'timm does not pad maps as images of {size[0]}x{size[1]} need it: state another input size')
    if min(encoder._stage_grids(size)[-1]) < window and size[0] != size[1]:
        raise InputError(f'windows of {window}x{window} do not fit the last map of images of {size[0]}x{size[1]}, '
                         'where timm makes them rectangles: state a smaller window size')
    return dict(embed_dim=encoder.embed_dims, depths=tuple(len(stage.blocks) for stage in encoder.stages),
                num_heads=tuple(stage.blocks[0].attn.w_msa.num_heads for stage in encoder.stages),
                window_size=stage_windows(window, grid, len(encoder.stages))[0])


def _swin(encoder: nn.Module, settings: Mapping[str, Any]) -> tuple[str, dict, Names]:
    return 'swin_tiny_patch4_window7_224', _windows(encoder, settings), SWIN_TIMM


def _swinv2(encoder: nn.Module, settings: Mapping[str, Any]) -> tuple[str, dict, Names]:
    pretrained = settings.get('pretrained_window_sizes')
    return 'swinv2_tiny_window8_256', dict(
        _windows(encoder, settings), **(dict(pretrained_window_sizes=tuple(pretrained)) if pretrained else {})
    ), SWINV2_TIMM


_FAMILIES = {'mmpretrain.VisionTransformer': _vit, 'mim_plugins.ResizableBEiT': _beit,
             'mim_plugins.ResizableSwin': _swin, 'mim_plugins.ResizableSwinV2': _swinv2}


def for_timm(settings: Mapping[str, Any]) -> dict:
    """Config of an encoder with the outputs and tables of timm's.

    Raises:
        InputError: timm's encoder of this size has another grid.
    """
    changed = {**settings, **({'table_window': None} if 'table_window' in settings else {})}
    if settings['type'] in ('mmpretrain.VisionTransformer', 'mim_plugins.ResizableBEiT'):
        size, patch = read_size(settings.get('img_size', 224)), settings.get('patch_size', 16)
        if size[0] % patch or size[1] % patch:
            raise InputError(f"timm's ViTs take images of whole patches of {patch} px, but the size is "
                             f'{size[0]}x{size[1]}')
        changed['out_type'] = 'raw'
    return changed


def to_timm(encoder: nn.Module, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict]:
    """State dict for timm, whose model gives the same features to 1e-5.

    Args:
        encoder: In eval mode.
        settings: Its config.

    Returns:
        State dict, and what goes to ``timm.create_model``: ``model_name`` and further options.

    Raises:
        InputError: timm has no such encoder, or its features differ.
    """
    kind = settings['type']
    if kind == 'mim_plugins.TIMMEncoder':
        weights = {name.removeprefix('timm_model.'): tensor for name, tensor in encoder.state_dict().items()}
        options = {name: value for name, value in settings.items() if name not in ('type', 'in_channels')}
        return weights, {**options, 'num_classes': 0}
    if kind not in _FAMILIES:
        raise InputError(f"timm has no {kind.rpartition('.')[2]}: take the target 'plain'")
    name, options, names = _FAMILIES[kind](encoder, settings)
    size, channels = read_size(settings['img_size']), settings.get('in_channels', 3)
    options = dict(model_name=name, img_size=size, num_classes=0, in_chans=channels, **options)
    if 'patch_size' in settings:
        options['patch_size'] = settings['patch_size']
    model = timm.create_model(**options).eval()
    weights = {}
    for own, tensor in encoder.state_dict().items():
        theirs = names.theirs(own)
        if theirs in model.state_dict():  # timm does not store what it computes from the size
            weights[theirs] = from_unfolded(tensor) if merges(own, names) else tensor
    missing = model.state_dict().keys() - weights.keys()
    if missing:
        raise InputError(f"timm's {name} needs {', '.join(sorted(missing)[:3])}, which the encoder has not: export one "
                         'with the norm behind its last layer, as pre-training leaves it')
    model.load_state_dict(weights)
    _compare(encoder, model, torch.Size((2, channels, *size)))
    return weights, options


@torch.no_grad()
def _compare(encoder: nn.Module, model: nn.Module, shape: torch.Size) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = encoder(images)[-1], model.forward_features(images)
    if theirs.ndim == 4:
        theirs = theirs.permute(0, 3, 1, 2)
    difference = (ours - theirs).abs().max() / ours.abs().max().clamp(min=1)
    if not difference <= _TOLERANCE:
        raise InputError(f"timm's model gives other features than the encoder: they differ by {difference:.1e}")
