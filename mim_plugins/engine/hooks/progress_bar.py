from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...registry import HOOKS


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A progress bar over all iterations with the running loss; shown on a terminal only."""
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def before_train(self, runner: Runner) -> None:
        if not is_main_process():
            return
        self._progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn('{task.fields[loss]}'), redirect_stdout=False)
        if not self._progress.console.is_terminal:
            self._progress = None
            return
        self._task = self._progress.add_task(
            'training', total=runner.max_iters, completed=runner.iter, loss='')
        self._progress.start()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if self._progress is None:
            return
        self._progress.update(self._task, completed=runner.iter + 1)
        if self.every_n_train_iters(runner, 10):
            loss = runner.message_hub.get_scalar('train/loss').mean(10)
            self._progress.update(self._task, loss=f'loss {loss:.4f}')

    def after_train(self, runner: Runner) -> None:
        if self._progress is not None:
            self._progress.stop()
