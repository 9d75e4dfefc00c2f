import atexit
import logging
import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...registry import HOOKS
from .schedule import log_interval


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A progress bar over all iterations with the loss as often as the log has it, on a terminal only."""
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def before_train(self, runner: Runner) -> None:
        progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn('{task.fields[loss]}'))
        if not (is_main_process() and progress.console.is_terminal):
            return
        self._progress, self._interval = progress, log_interval(runner)
        self._task = progress.add_task('training', total=runner.max_iters, completed=runner.iter, loss='')
        progress.start()
        atexit.register(progress.stop)  # a run that ends early must give the cursor back
        self._log_to(runner, sys.stdout)  # rich's, which prints above the bar

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if self._progress is None:
            return
        self._progress.update(self._task, completed=runner.iter + 1)
        logged = self._interval and (self.every_n_inner_iters(batch_idx, self._interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx))
        if logged:  # so that it need not be read from the device once more
            loss = runner.message_hub.get_scalar('train/loss').current()
            self._progress.update(self._task, loss=f'loss {loss:.4f}')

    def after_train(self, runner: Runner) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._log_to(runner, sys.stdout)

    @staticmethod
    def _log_to(runner: Runner, stream) -> None:
        for handler in runner.logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(stream)
