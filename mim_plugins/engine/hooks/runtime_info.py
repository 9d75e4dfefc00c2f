from collections.abc import Callable
from typing import Any

from mmengine.hooks import RuntimeInfoHook as _RuntimeInfoHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed.tensor import DTensor

from ...registry import HOOKS
from ..scalars import DeferredScalars


@HOOKS.register_module()
class RuntimeInfoHook(_RuntimeInfoHook):
    """mmengine's, without a device-to-host copy of every loss and gradient norm in every iteration.

    They wait on the device until the message hub's history is looked at, by the log, a checkpoint or another hook, and
    at the latest at the end of an epoch. Nor does a number of the host, as the learning rate, copy its whole history
    in every iteration. The histories are the same as mmengine's.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self._scalars = DeferredScalars(runner.message_hub)
        several = isinstance(runner.optim_wrapper, OptimWrapperDict)
        for wrapper in runner.optim_wrapper.values() if several else [runner.optim_wrapper]:
            if getattr(wrapper, 'clip_grad_kwargs', None):  # DeepSpeed's has none
                wrapper.clip_func = self._deferred(wrapper.clip_func, f'train/{wrapper.grad_name}')

    def _deferred(self, clip: Callable, name: str) -> Callable:
        """The same clipping, whose norm is not returned to be read at once."""

        def clip_and_note(*args: Any, **options: Any) -> None:
            norm = clip(*args, **options)
            if norm is not None:  # clipping of single values has none
                self._scalars.add({name: norm.full_tensor() if isinstance(norm, DTensor) else norm})

        return clip_and_note

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self._scalars.adopt('train/')  # those of resumed runs, and of other hooks in the last iteration
        super().before_train_iter(runner, batch_idx, data_batch)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        tensors = {f'train/{name}': value for name, value in (outputs or {}).items() if isinstance(value, Tensor)}
        if tensors:
            self._scalars.add(tensors)
        others = {name: value for name, value in (outputs or {}).items() if not isinstance(value, Tensor)}
        super().after_train_iter(runner, batch_idx, data_batch, others)

    def after_train_epoch(self, runner: Runner) -> None:
        self._scalars.read()
