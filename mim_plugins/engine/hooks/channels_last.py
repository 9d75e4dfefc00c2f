from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ...compat import map_leaves
from ...registry import HOOKS
from ..parts import part_of


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Hands maps to an encoder with their channels last in memory, as convolutions on tensor cores want them.

    Shapes and values stay as they are. Convolutions pass the layout on; what leaves the encoder has the usual one
    again, for mmcv's RoIAlign takes it for granted. Parameters and gradients have it throughout, as optimizers and
    gradient buckets expect: weights are converted where they are used.

    Args:
        module: Name of the encoder in the model.

    Raises:
        InputError: When the run starts, the model has no such part.
    """

    def __init__(self, module: str = 'backbone') -> None:
        self.module = module

    def before_run(self, runner: Runner) -> None:
        part = part_of(runner.model, self.module)
        part.register_forward_pre_hook(_lay_out_inputs)
        part.register_forward_hook(_lay_out_outputs)
        print_log(f'{self.module} gets its maps with channels last', 'current')


def _lay_out_inputs(module: nn.Module, inputs: tuple) -> tuple:
    return _with_layout(inputs, torch.channels_last)


def _lay_out_outputs(module: nn.Module, inputs: tuple, outputs: Any) -> Any:
    return _with_layout(outputs, torch.contiguous_format)


def _with_layout(value: Any, layout: torch.memory_format) -> Any:
    """The same with all maps [B, C, H, W] in another layout, be they in lists, tuples or dicts."""

    def lay_out(part: Any) -> Any:
        is_map = isinstance(part, Tensor) and part.ndim == 4 and part.is_floating_point()
        return part.contiguous(memory_format=layout) if is_map else part

    return map_leaves(lay_out, value)
