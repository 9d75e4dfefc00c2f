"""Config of an encoder from nothing but the names and shapes of its tensors."""
import re
from collections.abc import Callable, Mapping

from torch import Tensor

from ..errors import InputError, name_some
from ..ops import square_grid

_PVTV2 = {  # widths of the first stage and blocks of each -> timm's name
    (32, 2, 2, 2, 2): 'pvt_v2_b0', (64, 2, 2, 2, 2): 'pvt_v2_b1', (64, 3, 4, 6, 3): 'pvt_v2_b2',
    (64, 3, 4, 18, 3): 'pvt_v2_b3', (64, 3, 8, 27, 3): 'pvt_v2_b4', (64, 3, 6, 40, 3): 'pvt_v2_b5'}
_Weights = Mapping[str, Tensor]
# Number of attention heads by the encoder's width.
_Heads = Callable[[int], int]
# Channels of a head where they are not 64: of MAE's ViT-H, and of FastMIM's released ViT-B (6 heads).
_HEAD_WIDTHS = {('MAE', 1280): 80, ('FastMIM', 768): 128}

# The convolution that reads the images, in one or another.
_FIRST = ('patch_embed.projection.weight', 'patch_embed1.proj.weight', 'timm_model.patch_embed.proj.weight',
          'stem.0.weight')


def _count(weights: _Weights, template: str) -> int:
    """How many numbers stand in the place of ``*`` in the names."""
    pattern = re.compile(re.escape(template).replace(r'\*', r'(\d+)') + r'\..+')
    return len({match[1] for match in map(pattern.fullmatch, weights) if match})


def _side(places: int) -> int:
    return square_grid(places)[0]


def _window(table: Tensor, extra: int = 0) -> int:
    """Side of the window that a relative-position table was made for."""
    return (_side(len(table) - extra) + 1) // 2


def _channels(weights: _Weights) -> dict:
    """Channels of the images, where they are not colours."""
    first = next(weights[name] for name in _FIRST if name in weights)
    return {} if first.shape[1] == 3 else dict(in_channels=first.shape[1])


def _plain_arch(weights: _Weights, num_heads: int) -> dict:
    hidden, width = weights['layers.0.ffn.layers.0.0.weight'].shape
    return dict(embed_dims=width, num_layers=_count(weights, 'layers.*'), num_heads=num_heads,
                feedforward_channels=hidden)


def _vit(weights: _Weights, heads: _Heads) -> dict:
    patch, cls = weights['patch_embed.projection.weight'].shape[-1], 'cls_token' in weights
    grid = _side(weights['pos_embed'].shape[1] - cls)
    return dict(type='mmpretrain.VisionTransformer', arch=_plain_arch(weights, heads(weights['pos_embed'].shape[2])),
                img_size=grid * patch, patch_size=patch, with_cls_token=cls, out_type='raw',
                final_norm='ln1.weight' in weights)


def _beit(weights: _Weights, heads: _Heads) -> dict:
    shared = 'rel_pos_bias.relative_position_bias_table' in weights
    table = weights['rel_pos_bias.relative_position_bias_table' if shared else
                    'layers.0.attn.relative_position_bias_table']
    patch = weights['patch_embed.projection.weight'].shape[-1]
    return dict(
        type='mim_plugins.ResizableBEiT', arch=_plain_arch(weights, table.shape[1]), img_size=_window(table, 3) * patch,
        patch_size=patch, out_type='raw', final_norm='ln1.weight' in weights, use_rel_pos_bias=not shared,
        use_shared_rel_pos_bias=shared, layer_scale_init_value=.1 if 'layers.0.gamma_1' in weights else 0.)


def _stages(weights: _Weights, stages: str, heads: str) -> dict:
    """Arch of a Swin or a MixMIM, whose stages double their width."""
    number = _count(weights, f'{stages}.*')
    return dict(embed_dims=len(weights['patch_embed.projection.bias']),
                depths=[_count(weights, f'{stages}.{stage}.blocks.*') for stage in range(number)],
                num_heads=[weights[f'{stages}.{stage}.blocks.0.attn.{heads}'].shape[-1 if 'table' in heads else 0]
                           for stage in range(number)])


def _swin(weights: _Weights, heads: _Heads) -> dict:
    arch = _stages(weights, 'stages', 'w_msa.relative_position_bias_table')
    windows = [_window(weights[f'stages.{stage}.blocks.0.attn.w_msa.relative_position_bias_table'])
               for stage in range(len(arch['depths']))]
    patch = weights['patch_embed.projection.weight'].shape[-1]
    # The last map has the size of its window in all that were released.
    return dict(type='mim_plugins.ResizableSwin', arch=arch, img_size=windows[-1] * patch * 2**(len(windows) - 1),
                patch_size=patch, window_size=max(windows), out_indices=(len(windows) - 1, ))


def _swinv2(weights: _Weights, heads: _Heads) -> dict:
    arch = _stages(weights, 'stages', 'w_msa.logit_scale')
    stages, patch = len(arch['depths']), weights['patch_embed.projection.weight'].shape[-1]
    indices = [weights.get(f'stages.{stage}.blocks.0.attn.w_msa.relative_position_index') for stage in range(stages)]
    if any(index is None for index in indices):
        raise InputError('the tensors of this SwinV2 do not tell the windows that it was trained with, which scale its '
                         "positions: take its authors' file, which holds relative_position_index")
    windows = [_side(len(index)) for index in indices]
    return dict(type='mim_plugins.ResizableSwinV2', arch={**arch, 'extra_norm_every_n_blocks': 0}, patch_size=patch,
                window_size=max(windows), img_size=windows[-1] * patch * 2**(stages - 1), out_indices=(stages - 1, ),
                pretrained_window_sizes=windows)


def _mixmim(weights: _Weights, heads: _Heads) -> dict:
    arch = _stages(weights, 'layers', 'relative_position_bias_table')
    patch = weights['patch_embed.projection.weight'].shape[-1]
    size = patch * _side(weights['absolute_pos_embed'].shape[1])
    window = _window(weights['layers.0.blocks.0.attn.relative_position_bias_table'])
    return dict(type='mim_plugins.MixMIMTransformer', arch=arch, img_size=size, patch_size=patch,
                window_stride=size // window)


def _convmae(weights: _Weights, heads: _Heads) -> dict:
    width = len(weights['norm.weight'])
    return dict(
        type='mim_plugins.ConvMAEEncoder', img_size=16 * _side(weights['pos_embed'].shape[1]),
        arch=dict(embed_dims=[len(weights[f'patch_embed{stage}.proj.bias']) for stage in (1, 2, 3)],
                  depths=[_count(weights, f'blocks{stage}.*') for stage in (1, 2, 3)],
                  num_heads=heads(width)))


def _cmt(weights: _Weights, heads: _Heads) -> dict:
    first = [f'stages.{stage}.0' for stage in range(4)]
    widths = [len(weights[f'{block}.norm1.weight']) for block in first]
    reductions = [weights.get(f'{block}.attn.reduce.0.weight') for block in first]
    return dict(
        type='mim_plugins.CMT', img_size=32 * _side(weights['position_biases.3'].shape[1]),
        final_norm='norm.weight' in weights,
        arch=dict(embed_dims=widths, depths=[_count(weights, f'stages.{stage}.*') for stage in range(4)],
                  num_heads=[len(weights[f'position_biases.{stage}']) for stage in range(4)],
                  mlp_ratios=[len(weights[f'{block}.ffn.expand.0.bias']) // width
                              for block, width in zip(first, widths, strict=True)],
                  sr_ratios=[1 if weight is None else weight.shape[-1] for weight in reductions],
                  stem_channels=len(weights['stem.0.bias'])))


def _pvtv2(weights: _Weights, heads: _Heads) -> dict:
    kind = (len(weights['timm_model.patch_embed.proj.bias']),
            *(_count(weights, f'timm_model.stages.{stage}.blocks.*') for stage in range(4)))
    if kind not in _PVTV2:
        raise InputError(f'no PVTv2 has a width of {kind[0]} and {kind[1:]} blocks')
    return dict(type='mim_plugins.TIMMEncoder', model_name=_PVTV2[kind])


# A tensor that no other encoder has, the first that is there counts.
_KINDS = {
    'position_biases.3': _cmt, 'timm_model.stages.0.blocks.0.attn.kv.weight': _pvtv2, 'patch_embed4.weight': _convmae,
    'absolute_pos_embed': _mixmim, 'stages.0.blocks.0.attn.w_msa.logit_scale': _swinv2,
    'stages.0.blocks.0.attn.w_msa.relative_position_bias_table': _swin, 'layers.0.attn.q_bias': _beit,
    'layers.0.attn.qkv.weight': _vit,
}


def is_known(weights: _Weights) -> bool:
    """Whether :func:`deduced_settings` knows an encoder with tensors of these names."""
    return any(mark in weights for mark in _KINDS)


def deduced_settings(weights: _Weights, num_heads: int | None = None, layout: str | None = None) -> dict:
    """Config of the encoder that has these weights.

    Args:
        weights: Under this package's names, as :func:`~mim_plugins.transfer.from_released` gives them for a released
            file, without the leading ``backbone.``.
        num_heads: Attention heads of a plain ViT or of ConvMAE, whose tensors do not tell; None is one per 64
            channels, and what is known of a ``layout``.
        layout: Whose file it is.

    Raises:
        InputError: No encoder that is known here, or heads that do not divide its width.
    """
    def heads(width: int) -> int:
        number = max(1, width // _HEAD_WIDTHS.get((layout, width), 64)) if num_heads is None else num_heads
        if number < 1 or width % number:
            raise InputError(f'an encoder of width {width} cannot have {number} attention heads')
        return number

    for mark, deduce in _KINDS.items():
        if mark in weights:
            return {**deduce(weights, heads), **_channels(weights)}
    raise InputError(f'no known encoder has tensors named {name_some(list(weights))}')
