"""What a checkpoint says about its encoder, read without running the config that lies in it.

The models are imported where they are needed: they themselves read files through this package.
"""
import ast
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..ops import read_size, token_grid
from ..registry import MODELS

# Of a pre-training, not of the encoder.
_PRETRAINING = ('init_cfg', 'depth', 'fused_layers', 'drop_path_rate', 'drop_rate', 'attn_drop_rate', 'with_cp',
                'frozen_stages', 'mask_ratio', 'range_mask_ratio')
# Encoders whose forward is that of a pre-training -> those with the same weights that serve a classifier.
_SERVING = {
    **dict.fromkeys(('mim_plugins.SinCosVisionTransformer', 'mim_plugins.MFFVisionTransformer', 'mmpretrain.MAEViT',
                     'mmpretrain.MFFViT', 'mmpretrain.MaskFeatViT'), 'mmpretrain.VisionTransformer'),
    'mmpretrain.SimMIMSwinTransformer': 'mmpretrain.SwinTransformer',
    'mmpretrain.MixMIMPretrainTransformer': 'mmpretrain.MixMIMTransformer',
}
# What else an encoder needs to give maps.
_FOR_MAPS = {'mim_plugins.ConvMAEEncoder': dict(out_indices=[0, 1, 2]), 'mim_plugins.MixMIMTransformer': dict(pad=True),
             'mim_plugins.ResizableBEiT': dict(out_type='featmap')}


def _value(node: ast.expr) -> Any:
    """A literal, with calls of ``dict`` among it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        whole = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)]
        stated = {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        return {name: item for part in whole for name, item in _value(part).items()} | stated
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)


def stored_model(meta: Mapping[str, Any]) -> dict | None:
    """The ``model`` of the config that a training left in its checkpoint's meta data; None if there is none.

    Raises:
        InputError: It is no text of literals.
    """
    text = meta.get('cfg')
    if not isinstance(text, str):
        return None
    try:
        for line in ast.parse(text).body:
            if isinstance(line, ast.Assign) and [getattr(target, 'id', None) for target in line.targets] == ['model']:
                return _value(line.value)
    except (SyntaxError, ValueError) as error:
        raise InputError(f'the config in the checkpoint cannot be read: {error}') from error
    return None


def encoder_settings(model: Mapping[str, Any]) -> dict:
    """Config of a pre-training's encoder at the size that it was built for.

    Args:
        model: Config of a :class:`~mim_plugins.models.MaskedImageModel`, or of another model with a ``backbone``.
    """
    from ..models.backbones import with_input_size
    backbone = dict(model['backbone'])
    if '.' not in backbone['type']:  # in the scope of our configs
        backbone['type'] = f'mmpretrain.{backbone["type"]}'
    size, stride = model.get('input_size'), (model.get('neck') or {}).get('stride')
    return with_input_size(backbone, read_size(size), stride) if size and stride else backbone


def for_transfer(settings: Mapping[str, Any], keep_shared_bias: bool = False) -> dict:
    """Config of the whole encoder that takes a pre-trained one's weights.

    Blocks that pre-training left out come back, what only pre-training has goes: MAE's and MFF's encoder becomes
    mmpretrain's ViT, ConvMAE's loses its skips, and the relative-position bias that SimMIM's ViT shares among its
    layers becomes one for each.

    Args:
        settings: Config of the pre-trained encoder.
        keep_shared_bias: Leave that bias shared.
    """
    kind = settings['type']
    kept = {name: value for name, value in settings.items() if name not in _PRETRAINING
            or name == 'depth' and kind == 'mim_plugins.TIMMEncoder'}  # there it is timm's, of the whole model
    kept['type'] = _SERVING.get(kind, kind)
    if kind in _SERVING and kept['type'] == 'mmpretrain.VisionTransformer':
        kept['out_type'] = kept.get('out_type', 'raw')
        kept.pop('out_indices', None)  # of MFF
    elif kind == 'mim_plugins.ConvMAEEncoder':
        kept['multi_scale_fusion'] = False
    elif kind == 'mim_plugins.ResizableBEiT' and not keep_shared_bias and kept.get('use_shared_rel_pos_bias'):
        kept.update(use_rel_pos_bias=True, use_shared_rel_pos_bias=False)
    return kept


def resized(settings: Mapping[str, Any], input_size: tuple[int, int] | None, window_size: int | None) -> dict:
    """Config of an encoder for another size.

    Args:
        settings: Its config.
        input_size: (H, W) of the images in pixels; None keeps it.
        window_size: Side of the attention windows in tokens; None keeps it, or lets it follow the size.

    Raises:
        InputError: The encoder has no such thing.
    """
    from ..models.options import constructor_options
    accepted = constructor_options(MODELS.get(settings['type']))
    changed = dict(settings)
    if input_size is not None:
        if 'img_size' not in accepted:
            raise InputError(f'{settings["type"]} is not made for one size: leave the input size out')
        changed['img_size'] = tuple(input_size)
    if window_size is not None:
        if 'window_size' not in accepted:
            raise InputError(f'{settings["type"]} has no windows: leave the window size out')
        changed.update(window_size=window_size)
        for other in {'window_stride', 'table_window'} & changed.keys():
            changed[other] = None
    if settings['type'] == 'mim_plugins.ResizableSwinV2' and not settings.get('pretrained_window_sizes'):
        # Its positions are scaled by the window that they were learned with.
        changed['pretrained_window_sizes'] = _stage_windows(settings)
    return changed


def _stage_windows(settings: Mapping[str, Any]) -> list[int]:
    """Side of the windows in each stage of a Swin at the size that its config states."""
    from ..models.backbones.window_attention import stage_windows, window_at
    size, patch = read_size(settings['img_size']), settings.get('patch_size', 4)
    window = settings.get('window_size') or window_at(size, settings['window_stride'])
    return stage_windows(window, token_grid(size, (patch, patch)), 4)


def in_config(settings: Mapping[str, Any], target: str, layers: int | None = None, stages: int = 4) -> dict:
    """Config of the encoder in a classifier, or in a detector or segmenter that wants maps of several depths.

    Args:
        settings: Config that :func:`for_transfer` gave.
        target: ``'mmdet'`` and ``'mmseg'`` want maps.
        layers: Number of an encoder's layers that all have one resolution; None for encoders of several stages.
        stages: Number of those; the last four are given.
    """
    if target not in ('mmdet', 'mmseg'):
        return dict(settings)
    wanted = {name: value for name, value in settings.items() if name != 'out_type'}
    wanted['out_indices'] = [layers * quarter // 4 - 1 for quarter in (1, 2, 3, 4)] if layers else list(
        range(max(0, stages - 4), stages))
    if wanted['type'] == 'mmpretrain.VisionTransformer':
        own = ('final_norm', 'with_cls_token')
        return {**{name: value for name, value in wanted.items() if name not in own},
                'type': 'mim_plugins.DenseVisionTransformer'}
    if wanted['type'] == 'mim_plugins.MixMIMTransformer' and not wanted.get('window_size'):
        side, patch = min(read_size(wanted['img_size'])), wanted.get('patch_size', 4)
        window = side // wanted.pop('window_stride', 16)  # or the map, where that is smaller
        wanted['window_size'] = [min(window, side // (patch * 2**stage)) for stage in range(4)]
    return {**wanted, **_FOR_MAPS.get(wanted['type'], {})}
