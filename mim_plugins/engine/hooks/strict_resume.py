from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...registry import HOOKS
from ..checkpoints import check_match


@HOOKS.register_module()
class StrictResumeHook(Hook):
    """Refuses to resume from a checkpoint that does not match the model.

    mmengine resumes non-strictly: what is missing would go on from random weights after a warning.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes before anything is loaded.

        Raises:
            InputError: The checkpoint is of another model.
        """
        if runner._resume:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            check_match(model, checkpoint['state_dict'], runner._load_from or runner.work_dir)
