from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from ...compat import is_resuming
from ...datasets import LoadOfflineTarget
from ...errors import InputError
from ...offline import FeatureStore, differences
from ...registry import HOOKS

_KEY = 'target_store'


def _stores(dataset: Dataset) -> list[FeatureStore]:
    """Stores that a data set's pipeline reads, also inside mmengine's and torch's wrappers."""
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    inner = [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', [])]
    return [step.store for step in steps if isinstance(step, LoadOfflineTarget)] + [
        store for part in inner if part is not None for store in _stores(part)]


@HOOKS.register_module()
class TargetStoreHook(Hook):
    """Tells at the start which stored features a run learns from, and does not go on with those of another teacher.

    Checkpoints note teacher and middle image of the store in their meta data; a run that resumes compares them. Runs
    without a store are left alone.

    Raises:
        InputError: From a resume, the store is of another teacher or of other middle images.
    """

    @staticmethod
    def _notes(runner: Runner) -> list[dict]:
        manifests = [store.manifest for store in _stores(runner.train_dataloader.dataset)]
        return [dict(teacher=manifest.teacher, middle_image=manifest.middle_image) for manifest in manifests]

    def before_train(self, runner: Runner) -> None:
        for store in _stores(runner.train_dataloader.dataset):
            known = store.manifest.teacher
            runner.logger.info(
                f'stored features of {known["name"]} (weights {known["sha256"][:12]}) from {store.folder}: '
                f'{len(store)} images, {store.manifest.dtype}, views {", ".join(store.manifest.views)}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if notes := self._notes(runner):
            checkpoint['meta'][_KEY] = notes

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not is_resuming(runner):
            return
        noted, now = checkpoint.get('meta', {}).get(_KEY, []), self._notes(runner)
        if len(noted) != len(now):
            raise InputError(f'the checkpoint was trained on {len(noted)} stores of features, but the config reads '
                             f'{len(now)}')
        found = [difference for ours, theirs in zip(now, noted, strict=True)
                 for difference in differences(ours, theirs, there='in the checkpoint')]
        if found:
            raise InputError(f'the checkpoint was trained on other stored features: {"; ".join(found)}')
