import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import timm
import torch
from mmpretrain.models import TIMMBackbone
from mmpretrain.models.utils import to_2tuple
from timm.models import group_parameters
from torch import Tensor, nn

from ...errors import InputError
from ...ops import resize_position_embedding, square_grid
from ...registry import MODELS
from .relative_positions import resize_stored_tables

_BLOCK = re.compile(r'stages\.(\d+)\.blocks\.(\d+)\.')


@MODELS.register_module()
class TIMMEncoder(TIMMBackbone):
    """Any encoder of timm, with one form of output and a say about sizes.

    Args:
        model_name: timm's name.
        img_size: Size (H, W) of the images; the algorithm states it. It is handed on to models that are made
            for one size, with ``dynamic_img_size`` where there is such a thing.
        in_channels: Channels of the images.
        out_indices: Maps to give, numbered as by timm's ``forward_intermediates``: stages (ResNets have the stem as
            0) or a plain model's blocks. What they do not need is left out; all other names in the state dict stay.
            None gives the model's last features, or with ``features_only`` all that timm gives.
        final_norm: With ``out_indices``, the norm behind a hierarchical model's last map and all maps of a plain one.
        with_cp: Compute the blocks' inner results again in the backward instead of keeping them.
        **options: mmpretrain's and timm's; nothing is downloaded unless ``pretrained=True``.

    Attributes:
        num_extra_tokens: Leading tokens of the output such as cls; 0 for maps.

    Raises:
        InputError: timm has no such model, it cannot be made an encoder for this size, or it cannot do what
            ``out_indices`` or ``with_cp`` ask.
    """

    def __init__(self, model_name: str, img_size: int | tuple[int, int] = 224, in_channels: int = 3,
                 out_indices: Sequence[int] | None = None, final_norm: bool = True, with_cp: bool = False,
                 **options: Any) -> None:
        if not timm.is_model(model_name):
            raise InputError(f'timm has no model {model_name!r}')
        self._name = model_name
        self._channels = in_channels
        size = to_2tuple(img_size)
        known = timm.get_pretrained_cfg(model_name, allow_unregistered=True)
        fixed = known is not None and known.fixed_input_size
        stated = dict(img_size=size)
        for sized in ({**stated, 'dynamic_img_size': True}, stated, {}) if fixed else ({}, ):
            try:
                super().__init__(model_name, in_channels=in_channels, **{**sized, **options})
                break
            except TypeError as error:  # timm's classes differ in what they take
                if not any(f"'{name}'" in str(error) for name in sized):
                    raise
            except AssertionError as error:
                raise InputError(f"timm's {model_name} cannot be made an encoder for images of "
                                 f'{size[0]}x{size[1]}: {_first_line(error)}') from error
        self._out_indices, self._final_norm = out_indices, final_norm
        if out_indices is not None:
            self._keep_only(out_indices)
        if with_cp:
            self._asked('with_cp=True', 'set_grad_checkpointing', True)
        self.num_extra_tokens = 0 if out_indices is not None else getattr(self.timm_model, 'num_prefix_tokens', 0)
        self._register_load_state_dict_pre_hook(self._resize_stored)
        self._size = known.input_size[1:] if fixed else size
        self.set_input_size(size)  # some classes take img_size and forget it
        self._size = size

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images [B, C, H, W] into maps [B, C, h, w] or tokens [B, num_extra_tokens + N, C]."""
        if self._out_indices is not None:
            maps = self.timm_model.forward_intermediates(
                x, indices=self._out_indices, norm=self._final_norm, intermediates_only=True)
            return tuple(level.contiguous() for level in maps)
        features = super().forward(x)
        if str(getattr(self.timm_model, 'output_fmt', 'NCHW')).endswith('NHWC'):
            return tuple(part.permute(0, 3, 1, 2).contiguous() for part in features)
        return features

    def _resize_stored(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Resize a position embedding and relative-position tables of another size to the model's own, bicubic."""
        prefix = f'{prefix}timm_model.'
        own, stored = getattr(self.timm_model, 'pos_embed', None), state_dict.get(f'{prefix}pos_embed')
        if own is not None and stored is not None and own.ndim == stored.ndim == 3 and own.shape != stored.shape:
            grid = self.timm_model.patch_embed.grid_size
            extra = own.shape[1] - grid[0] * grid[1]
            state_dict[f'{prefix}pos_embed'] = resize_position_embedding(
                stored, square_grid(stored.shape[1] - extra), grid, extra)
        tables = [part for part in self.timm_model.modules() if hasattr(part, 'relative_position_bias_table')]
        if tables:
            height, width = tables[0].window_size
            extra = len(tables[0].relative_position_bias_table) - (2 * height - 1) * (2 * width - 1)
            resize_stored_tables(self.timm_model, state_dict, prefix, extra)

    def _asked(self, option: str, method: str, *args: Any, **options: Any) -> None:
        """Call a method of the model on behalf of an option."""
        try:
            getattr(self.timm_model, method)(*args, **options)
        except (AssertionError, AttributeError) as error:
            raise InputError(f"timm's {self._name} does not take {option}: {_first_line(error)}") from error

    def _keep_only(self, out_indices: Sequence[int]) -> None:
        self._asked(f'out_indices={list(out_indices)}', 'prune_intermediate_layers', list(out_indices),
                    prune_norm=not self._final_norm, prune_head=True)
        if hasattr(self.timm_model, 'head'):
            self.timm_model.head = nn.Identity()  # some keep a norm in it, which would get no gradient

    @cached_property
    def _layers(self) -> dict[str, int]:
        """Layer of each of the model's parameters but those of its final norm, the stem's first."""
        names = [name for name, _ in self.timm_model.named_parameters()]
        found = _layers_of_stages(names)
        if not found:
            if not hasattr(self.timm_model, 'group_matcher'):
                raise InputError('layer-wise learning rates need to know the layers, but '
                                 f"timm's {self._name} states none")
            found = group_parameters(self.timm_model, self.timm_model.group_matcher(coarse=False), reverse=True)
        return {name: layer for name, layer in found.items() if not name.startswith(('norm.', 'fc_norm.', 'head.'))}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter and number of layers, as mmpretrain's layer-wise learning rates want them.

        Where parameters are called ``stages.N.blocks.M`` each block is a layer, with the norm of its stage and the
        embedding behind it; elsewhere layers are timm's. The final norm and what is not in the model are the last.

        Raises:
            InputError: The model does not state its layers.
        """
        last = max(self._layers.values()) + 1
        name = param_name.removeprefix(prefix).removeprefix('timm_model.') if param_name.startswith(prefix) else ''
        return self._layers.get(name, last), last + 1

    @torch.no_grad()
    def set_input_size(self, size: tuple[int, int]) -> None:
        """Make sure that the model takes images of ``size`` (H, W) as it is.

        Raises:
            InputError: It does not; timm's own ``set_input_size`` would replace parameters.
        """
        if tuple(size) == self._size:
            return
        training, parameter = self.training, next(self.parameters())
        self.eval()
        try:
            # Not a call of the module, which may be compiled.
            self.forward(torch.zeros(1, self._channels, *size, device=parameter.device, dtype=parameter.dtype))
        except Exception as error:  # whatever a model's own code raises
            raise InputError(
                f"timm's {self._name}, made for images of {self._size[0]}x{self._size[1]}, does not take "
                f'{size[0]}x{size[1]} in its forward: {_first_line(error)}') from error
        finally:
            self.train(training)


def _layers_of_stages(names: Sequence[str]) -> dict[str, int]:
    """Layer of parameters but those of the last stage's norm; none where no parameter is a block's of a stage."""
    blocks = {(int(match[1]), int(match[2])) for match in map(_BLOCK.match, names) if match}
    if not blocks:
        return {}
    last = max(blocks)[0]
    depths = [sum(stage == number for stage, _ in blocks) for number in range(last + 1)]
    found = {}
    for name in names:
        first, *rest = name.split('.')
        if first != 'stages':
            found[name] = 0
            continue
        stage, part = int(rest[0]), rest[1]
        before = sum(depths[:stage])
        if part == 'blocks':
            found[name] = before + int(rest[2]) + 1
        elif not part.startswith('norm'):
            found[name] = before
        elif stage < last:
            found[name] = before + depths[stage]
    return found


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__} {error}'.splitlines()[0].rstrip()
