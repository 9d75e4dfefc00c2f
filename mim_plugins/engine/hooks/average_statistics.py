from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from ...registry import HOOKS
from .schedule import saves_now


@HOOKS.register_module()
class AverageStatisticsHook(Hook):
    """Averages the running statistics of BatchNorm over the processes where they are used.

    That is after each epoch, before each evaluation, and before each checkpoint by iterations. Training never reads
    them, so they need not be sent in every step.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if saves_now(runner):
            self.after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        if get_world_size() == 1:
            return
        norms = [part for part in runner.model.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
        if norms:
            all_reduce_params([value for norm in norms for value in (norm.running_mean, norm.running_var)], op='mean')

    before_val_epoch = before_test_epoch = after_train_epoch
