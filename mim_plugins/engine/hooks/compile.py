from collections.abc import Callable, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FSDPModule

from ...compat import accumulation_steps
from ...errors import InputError
from ...registry import HOOKS
from ..compilation import check_accumulation, check_backend, check_options, compile_in_place, records_graphs
from ..parts import part_of, unwrapped

_USUAL = ('backbone', 'neck')


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of a model with ``torch.compile``, for training steps alone.

    The parts are compiled in place, behind DistributedDataParallel: names, copies and checkpoints are as without. Each
    size of images or batches is compiled once, so a resolution that comes back costs nothing. Evaluation, be it of the
    validation loop or of a monitor, runs as it is written. Preprocessing, targets, losses and optimizer are not
    compiled: they draw random numbers, log, or hold float32 islands.

    Args:
        parts: Names of parts in the model such as ``'target_generator.network'``; None compiles what there is of
            ``backbone`` and ``neck``.
        backend: As of ``torch.compile``.
        mode: As of ``torch.compile``.
        options: As of ``torch.compile``, instead of a mode.
        fullgraph: Stop where a part does not become one graph, instead of running what is between two as it is.

    Raises:
        InputError: An argument that ``torch.compile`` does not know, or both mode and options; when a training starts,
            parts that are not there, a backend that does not work on this machine, or CUDA graphs with accumulation,
            with FSDP, or with a fill that hands its masks to the inside of the encoder.
    """
    priority = 'LOW'

    def __init__(self, parts: Sequence[str] | None = None, backend: str | Callable = 'inductor',
                 mode: str | None = None, options: dict | None = None, fullgraph: bool = False) -> None:
        check_options(parts, backend, mode, options, fullgraph)
        self.parts = parts
        self._options = dict(backend=backend, mode=mode, options=options, fullgraph=fullgraph)

    def before_train(self, runner: Runner) -> None:
        torch.compiler.set_stance('default')  # an evaluation that was broken off leaves another
        found = self._found(runner.model)
        accumulation = accumulation_steps(runner.optim_wrapper)
        how = [self._options[name] for name in ('backend', 'mode', 'options')]
        check_accumulation(*how, accumulation)
        if records_graphs(*how):
            self._check_addresses(runner.model)
        runner.logger.info('Looking whether torch.compile works here')
        check_backend(next(runner.model.parameters()).device, **self._options)
        for part in found.values():
            compile_in_place(part, **self._options)
        runner.logger.info(f'{" and ".join(found)} will be compiled in the first iteration of each image size, which '
                           'takes minutes for a large encoder')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        # Recorded CUDA graphs may write over what earlier iterations gave, not over what this one gives.
        torch.compiler.cudagraph_mark_step_begin()

    def before_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('force_eager')

    def after_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('default')

    before_test, after_test = before_val, after_val

    @staticmethod
    def _check_addresses(model: nn.Module) -> None:
        """Refuse CUDA graphs over what lies at another place in each step, so that they were recorded each time."""
        fill = getattr(unwrapped(model), 'fill', None)
        moving = 'FSDP gathers parameters' if isinstance(model, FSDPModule) else (
            f'{type(fill).__name__} hands masks to the encoder' if getattr(fill, 'enters_encoder', False) else '')
        if moving:
            raise InputError(f'CUDA graphs would be recorded anew in each step, because {moving} at another place in '
                             'memory each time: choose the mode default or max-autotune-no-cudagraphs')

    def _found(self, model: nn.Module) -> dict[str, nn.Module]:
        """Parts to compile, by name."""
        if self.parts is not None:
            return {name: part_of(model, name) for name in self.parts}
        model = unwrapped(model)
        found = {name: part for name in _USUAL if isinstance(part := getattr(model, name, None), nn.Module)}
        if not found:
            raise InputError(f'{type(model).__name__} has neither {" nor ".join(_USUAL)} to compile: name its parts in '
                             f'compile.parts; it has {", ".join(name for name, _ in model.named_children())}')
        return found
