import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import InputError
from ...registry import HOOKS
from ..loading import would_load_faster
from ..wait_advice import remedies
from ..wait_clock import WaitClock
from .schedule import log_interval

_LEAST_STEPS = 10  # of which a share says something


@HOOKS.register_module()
class DataWaitHook(Hook):
    """Logs how much of a training goes by in waiting for data, and says what to change where it is much.

    The scalar ``train/data_wait`` stands in the log beside ``time`` and ``data_time``: per cent of the time since the
    last reading, over ten steps at least, of the slowest process, since all wait for it. The first batch of each epoch,
    for which workers start, is left out. See :mod:`mim_plugins.engine.wait_clock` for what is lost on a GPU, where
    ``data_time`` does not tell.

    Args:
        threshold: Per cent above which a warning comes.
        repeat: Readings between two warnings.

    Raises:
        InputError: A threshold that is no percentage, or not at least one reading.
    """
    priority = 'NORMAL'  # before the log

    def __init__(self, threshold: float = 10., repeat: int = 50) -> None:
        if not isinstance(threshold, int | float) or not 0 <= threshold <= 100:
            raise InputError(f"the data wait's threshold must be a percentage from 0 to 100, but is {threshold!r}")
        if not isinstance(repeat, int) or repeat < 1:
            raise InputError(f'the data wait needs at least 1 reading between two warnings, but got {repeat!r}')
        self.threshold = threshold
        self.repeat = repeat
        self._silent = 0

    def before_train(self, runner: Runner) -> None:
        self._interval = log_interval(runner) or _LEAST_STEPS
        self._device = next(runner.model.parameters()).device
        self._clock = WaitClock(self._device)
        runner.register_hook(_EndOfStepHook(self._clock))

    def before_train_epoch(self, runner: Runner) -> None:
        self._starts = True

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self._clock.come(counted=not self._starts)
        self._starts = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        logged = self.every_n_inner_iters(batch_idx, self._interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx)
        if not logged or self._clock.steps < _LEAST_STEPS:
            return
        steps = self._clock.steps
        share = torch.tensor(100 * self._clock.read())
        all_reduce(share, 'max')
        runner.message_hub.update_scalar('train/data_wait', share, resumed=False)
        self._silent = max(0, self._silent - 1)
        if share > self.threshold and not self._silent:
            self._silent = self.repeat
            self._warn(runner, steps, share.item(), data_batch)

    def _warn(self, runner: Runner, steps: int, share: float, batch: dict) -> None:
        if not is_main_process():
            return
        ways = remedies(runner.train_dataloader, batch, self._device, share, self._clock.start_up,
                        would_load_faster(runner.cfg))
        worst = f' on the slowest of {get_world_size()} processes' if get_world_size() > 1 else ''
        runner.logger.warning(f'{share:.0f} % of the last {steps} steps went by in waiting for data{worst}; what may '
                              f'help: {"; ".join(ways)}')


class _EndOfStepHook(Hook):
    """Tells the clock when all other hooks are done and the loader is asked for the next batch."""
    priority = 'LOWEST'

    def __init__(self, clock: WaitClock) -> None:
        self._clock = clock

    def before_train_epoch(self, runner: Runner) -> None:
        self._clock.ask()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self._clock.ask()

    def after_val(self, runner: Runner) -> None:
        self._clock.ask()
