import logging
from collections import Counter
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from ...checkpoints import check_match
from ...compat import checkpoint_to_load, is_resuming
from ...errors import InputError
from ...registry import HOOKS
from ...transfer import from_released
from ...transfer.settings import stored_model


def _flat(settings: dict, above: str = 'model') -> dict[str, Any]:
    """Nested settings by their dotted names; tuples, which a stored config has as lists, as lists."""
    found = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f'{above}.{name}')
        else:
            found[f'{above}.{name}'] = list(value) if isinstance(value, tuple) else value
    return found


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Refuses weights that do not match the model; mmengine itself loads what fits and only warns.

    A checkpoint to resume from must match in every name and shape; settings of the model that were changed since are
    logged as a warning. Of one named by ``load_from``, at least a share of the model's tensors must be found, and their
    number is logged for each part, as a warning if the encoder is incomplete; released checkpoints of MAE, ConvMAE
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
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        weights = checkpoint.get('state_dict', checkpoint)
        if is_resuming(runner):
            check_match(model, weights, checkpoint_to_load(runner) or runner.work_dir)
            self._compare_models(runner, checkpoint.get('meta', {}))
            self._compare_schedules(runner, checkpoint.get('param_schedulers') or [])
            return
        self._count(runner, model.state_dict(), self._recognised(runner, checkpoint))

    def _count(self, runner: Runner, own: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        """Tell how many of the model's own tensors are among the weights, or refuse too few."""
        found = [name for name in own if name in weights and weights[name].shape == own[name].shape]
        wanted, present = (Counter(name.partition('.')[0] for name in names) for names in (own, found))
        parts = ', '.join(f'{part} {present[part]} of {number}' for part, number in wanted.items())
        source = checkpoint_to_load(runner)
        sentence = f'{len(found)} of {len(own)} tensors of the model are found in {source} ({parts})'
        other = [name for name in own if name in weights and weights[name].shape != own[name].shape]
        if other:
            sentence += (f'; {len(other)} more have another shape, the first {other[0]} with '
                         f'{tuple(weights[other[0]].shape)} instead of {tuple(own[other[0]].shape)}')
        if len(found) < self.coverage * len(own):
            raise InputError(f'{sentence}; at least {100 * self.coverage:g} % are asked for')
        incomplete = present['backbone'] < wanted['backbone']
        print_log(sentence, 'current', logging.WARNING if incomplete else logging.INFO)

    @staticmethod
    def _recognised(runner: Runner, checkpoint: dict) -> dict:
        """Weights of a checkpoint under the model's names, placed where mmengine loads them from."""
        weights = checkpoint.get('state_dict') or checkpoint.get('model') or checkpoint
        released = from_released(weights)
        if released is not None:
            weights, layout = released
            print_log(f'{checkpoint_to_load(runner)} has the layout of {layout}: its tensors are renamed', 'current')
        if weights is not checkpoint:
            checkpoint['state_dict'] = weights  # mmengine looks nowhere else
        return weights

    @staticmethod
    def _compare_models(runner: Runner, meta: dict) -> None:
        """Warn if the checkpoint was trained with other settings of the model, as another target or method."""
        stored = stored_model(meta)
        if stored is None:
            return
        old, new = _flat(stored), _flat(runner.cfg.get('model') or {})
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        if changed:
            print_log('the checkpoint was trained with other settings of the model: ' + ', '.join(
                f'{name} was {old.get(name)!r} and is {new.get(name)!r}' for name in changed[:5]), 'current',
                logging.WARNING)

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
