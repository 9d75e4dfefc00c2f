from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...models.backbones.recomputation import recompute_blocks
from ...registry import HOOKS
from ..parts import check_names, part_of


@HOOKS.register_module()
class RecomputationHook(Hook):
    """Activation checkpointing in any model: less memory for a second forward in the backward.

    For what has no option of its own; the encoders and decoders of this package have ``with_cp``. Losses, gradients and
    running statistics stay the same. Compiled blocks must be one graph each, or their BatchNorms count batches twice.

    Args:
        blocks: Names of blocks in the model, or of lists of them, as ``'backbone.layers'``.

    Raises:
        InputError: The blocks are no list of names; when the run starts, the model has no such part.
    """

    def __init__(self, blocks: Sequence[str] = ('backbone.layers', )) -> None:
        self.blocks = check_names(blocks, 'blocks of RecomputationHook')

    def before_run(self, runner: Runner) -> None:
        for name in self.blocks:
            part = part_of(runner.model, name)
            blocks = part if isinstance(part, nn.ModuleList | nn.Sequential) else [part]
            recompute_blocks(blocks)
            print_log(f'{name}: blocks that run again in the backward: {len(blocks)}', 'current')
