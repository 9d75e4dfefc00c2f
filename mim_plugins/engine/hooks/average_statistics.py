from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from ...registry import HOOKS


@HOOKS.register_module()
class AverageStatisticsHook(Hook):
    """Averages the running statistics of BatchNorm over the processes, after each epoch and before each evaluation.

    Training never reads them, so they need not be sent in every step.
    """

    def after_train_epoch(self, runner: Runner) -> None:
        if get_world_size() == 1:
            return
        norms = [part for part in runner.model.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
        if norms:
            all_reduce_params([value for norm in norms for value in (norm.running_mean, norm.running_var)], op='mean')

    before_val_epoch = before_test_epoch = after_train_epoch
