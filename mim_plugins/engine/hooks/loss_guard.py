import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...errors import InputError, NonFiniteLossError
from ...registry import HOOKS
from ..scalars import latest
from .schedule import saves_now


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Stops a training whose loss is not finite, before a checkpoint is saved.

    Each iteration only notes on the device whether its losses were finite. The note is read every
    ``interval`` iterations, at the end of an epoch and before each saving, on all processes together.

    Args:
        interval: Iterations between two readings.

    Raises:
        InputError: The interval is not positive.
        NonFiniteLossError: From the training; names the first such iteration, its learning rate and gradient
            norm, and parameters that are not finite.
    """

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise InputError(f'the loss guard needs an interval of at least 1 iteration, but got {interval}')
        self.interval = interval
        self._finite: list[Tensor] = []
        self._rates: list[float] = []
        self._norms: list[Tensor | float | None] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        losses = [value.detach().float().sum() for name, value in (outputs or {}).items()
                  if 'loss' in name and isinstance(value, Tensor)]
        if not losses:
            return
        self._finite.append(torch.stack(losses).isfinite().all())
        self._rates.append(runner.optim_wrapper.param_groups[0]['lr'])
        self._norms.append(latest(runner.message_hub, 'train/grad_norm'))
        if self.every_n_train_iters(runner, self.interval) or saves_now(runner):
            self._read(runner, runner.iter)

    def after_train_epoch(self, runner: Runner) -> None:
        self._read(runner, runner.iter - 1)

    def _read(self, runner: Runner, last: int) -> None:
        """Look at what was noted up to iteration ``last``; every process comes here at the same time."""
        if not self._finite:
            return
        bad = ~torch.stack(self._finite)
        rates, norms, self._finite, self._rates, self._norms = self._rates, self._norms, [], [], []
        bad = bad.int()
        all_reduce(bad, 'max')
        if not bad.any():
            return
        first = int(bad.argmax())
        norm = 'not recorded (optim_wrapper.clip_grad records it)' if norms[first] is None else f'{norms[first]:.3g}'
        broken = [name for name, parameter in runner.model.named_parameters() if not parameter.isfinite().all()]
        weights = f'{len(broken)} parameters are not finite by now (first: {broken[0]})' if broken else (
            'all parameters are still finite')
        raise NonFiniteLossError(
            f'the loss is not finite since iteration {last - len(bad) + 2 + first}: learning rate '
            f'{rates[first]:.3g}, gradient norm {norm}, {weights}; nothing was saved since, go on from the last '
            'checkpoint with --resume and a lower learning rate, or with bf16 instead of fp16')
