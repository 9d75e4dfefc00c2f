"""Learning rates that fall from the head to the first layer (ELECTRA, arXiv 2003.10555; BEiT, arXiv 2106.08254)."""
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from mmpretrain.models.backbones import PCPVT
from torch import nn

from ...errors import InputError
from ...models.backbones.stages import layer_depth
from ...registry import OPTIM_WRAPPER_CONSTRUCTORS

# Parts of names of parameters that are not decayed in the fine-tuning of MAE, BEiT, Swin, SwinV2 and ViTDet.
UNDECAYED = ('cls_token', 'dist_token', 'reg_token', 'mask_token', 'pos_embed', 'position_bias', 'rel_pos',
             'relative_position_bias_table', 'cpb_mlp', 'logit_scale')
_OPTIONS = {'layer_decay_rate', 'norm_decay_mult', 'bias_decay_mult', 'flat_decay_mult', 'custom_keys'}
_PREFIX = 'backbone.'

LayerDepth = Callable[[str], tuple[int, int]]


def _depth_in(backbone: nn.Module) -> Callable[[str, str], tuple[int, int]]:
    """What tells the layer of a parameter of an encoder."""
    if hasattr(backbone, 'get_layer_depth'):
        return backbone.get_layer_depth
    if isinstance(backbone, PCPVT):  # Twins; mmpretrain's cannot tell
        depths = [len(blocks) for blocks in backbone.stages]
        return lambda name, prefix: layer_depth(name, prefix, depths, ('patch_embeds', 'position_encodings'))
    raise InputError(f'layer-wise learning rates need an encoder with get_layer_depth, but {type(backbone).__name__} '
                     'has none')


def layers_of(model: nn.Module) -> LayerDepth:
    """Layer of any parameter of a model with a ``backbone``, and number of layers, by the parameter's name.

    Layer 0 is the encoder's first embedding; all that is not in the encoder belongs to the last layer.

    Raises:
        InputError: The model has no backbone, or one that cannot tell its layers.
    """
    if not hasattr(model, 'backbone'):
        raise InputError(f'layer-wise learning rates need a model with a backbone, but {type(model).__name__} has none')
    depth = _depth_in(model.backbone)
    layers = depth(next(name for name, _ in model.named_parameters() if name.startswith(_PREFIX)), _PREFIX)[1]
    return lambda name: depth(name, _PREFIX) if name.startswith(_PREFIX) else (layers - 1, layers)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's layer-wise learning rates for classifiers, detectors and segmenters, in few groups.

    Any model with a ``backbone`` will do; neck and heads have the full learning rate. Norms, biases, whatever else
    has one dimension, tokens, and tables of positions are not decayed (as in the released code of MAE, arXiv
    2111.06377, and SimMIM, arXiv 2111.09886). Parameters with equal settings share a group, so that the optimizer
    updates them together.

    ``paramwise_cfg`` takes mmpretrain's ``layer_decay_rate``, ``norm_decay_mult``, ``bias_decay_mult``,
    ``flat_decay_mult``, and ``custom_keys`` for parameters by parts of their names, of which the longest counts, with
    ``decay_mult``, ``lr_mult``, and what the optimizer itself takes per group, such as LARS's ``lars_exclude``.

    Raises:
        InputError: From a call, unknown options, an optimizer without ``weight_decay``, or a model without layers.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        stated = dict(paramwise_cfg or {})
        if unknown := sorted(set(stated) - _OPTIONS):
            raise InputError(f'unknown keys in paramwise_cfg: {", ".join(unknown)}; it takes '
                             f'{", ".join(sorted(_OPTIONS))}')
        if optim_wrapper_cfg['optimizer'].get('weight_decay') is None:
            raise InputError('layer-wise learning rates need an optimizer with weight_decay, 0 for none')
        keys = {name: dict(decay_mult=0.) for name in UNDECAYED} | dict(stated.pop('custom_keys', {}))
        super().__init__(optim_wrapper_cfg, dict(norm_decay_mult=0., flat_decay_mult=0.) | stated | {
            'custom_keys': keys})

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   get_layer_depth: LayerDepth | None = None, **options: Any) -> None:
        """Append the groups of a module to ``params``; those of the whole model, with no ``prefix``, are merged."""
        whole = prefix == ''
        super().add_params(params, module, prefix, layers_of(module) if whole else get_layer_depth, **options)
        if whole:
            params[:] = merged(params)


def merged(params: list[dict]) -> list[dict]:
    """Join groups of one parameter with equal settings; a parameter met twice keeps its first ones.

    The groups come in the order of layers and are logged with a line each.
    """
    groups: dict[tuple, dict] = {}
    seen = set()
    for group in params:
        parameter, = group.pop('params')
        group.pop('param_name')
        scale = group.pop('lr_mult', 1.)
        group['lr'], group['lr_scale'] = group['lr'] * scale, group['lr_scale'] * scale
        if id(parameter) not in seen:
            seen.add(id(parameter))
            groups.setdefault(tuple(sorted(group.items())), dict(params=[], **group))['params'].append(parameter)
    found = sorted(groups.values(), key=lambda group: (group['layer_id'], group['weight_decay']))
    lines = [f'  layer {group["layer_id"]:>3}  lr {group["lr"]:.3g} (x {group["lr_scale"]:.3g})  weight decay '
             f'{group["weight_decay"]:.3g}  {len(group["params"])} parameters' for group in found]
    print_log('\n'.join(['Layer-wise learning rates', *lines]), 'current')
    return found
