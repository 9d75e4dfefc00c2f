import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...checkpoints import check_match
from ...errors import InputError
from ...registry import HOOKS
from ...transfer import from_released


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Refuses weights that do not match the model; mmengine itself loads what fits and only warns.

    A checkpoint to resume from must match in every name and shape. Of one named by ``load_from``, at
    least a share of the model's tensors must be found, and the number is logged; released checkpoints of MAE, ConvMAE
    and mmpretrain are renamed first, see :func:`mim_plugins.transfer.from_released`.

    Args:
        coverage: That share, in [0, 1].
    """

    def __init__(self, coverage: float = 0.5) -> None:
        self.coverage = coverage

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare before anything is loaded.

        Raises:
            InputError: The checkpoint is of another model.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = checkpoint.get('state_dict', checkpoint)
        if runner._resume:
            check_match(model, weights, runner._load_from or runner.work_dir)
            self._compare_schedules(runner, checkpoint.get('param_schedulers') or [])
            return
        weights = self._recognised(runner, checkpoint)
        own = model.state_dict()
        found = sum(name in weights and weights[name].shape == tensor.shape for name, tensor in own.items())
        sentence = f'{found} of {len(own)} tensors of the model are found in {runner._load_from}'
        if found < self.coverage * len(own):
            raise InputError(f'{sentence}, fewer than the {100 * self.coverage:g} % that are asked for')
        print_log(sentence, 'current')

    @staticmethod
    def _recognised(runner: Runner, checkpoint: dict) -> dict:
        """Weights of a checkpoint under the model's names, placed where mmengine loads them from."""
        weights = checkpoint.get('state_dict') or checkpoint.get('model') or checkpoint
        released = from_released(weights)
        if released is not None:
            weights, layout = released
            print_log(f'{runner._load_from} has the layout of {layout}: its tensors are renamed', 'current')
        if weights is not checkpoint:
            checkpoint['state_dict'] = weights  # mmengine looks nowhere else
        return weights

    @staticmethod
    def _compare_schedules(runner: Runner, stored: list | dict) -> None:
        """Warn if the config's schedule was changed: mmengine goes on with the checkpoint's."""
        schedulers = runner.param_schedulers
        if not isinstance(stored, list) or not isinstance(schedulers, list):
            return
        for scheduler, state in zip(schedulers, stored, strict=False):
            if scheduler.end != state.get('end'):
                print_log(
                    f'the config ends {type(scheduler).__name__} at step {scheduler.end}, but the checkpoint goes on '
                    f'with its own end at step {state.get("end")}', 'current', logging.WARNING)
