"""Is it learning? Looks at the model from time to time, and leaves the training as it was."""
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from ...analysis.evaluation import labelled_features
from ...analysis.held_out import fixed_masks, held_out_loss
from ...analysis.pictures import reconstruct, reconstruction_figure, save
from ...analysis.probe import linear_probe, nearest_neighbours
from ...analysis.runs import image_paths, spread
from ...analysis.target_images import target_batches
from ...errors import InputError
from ...models import MaskedImageModel
from ...registry import HOOKS


class MonitorHook(Hook):
    """Something to look at after every few epochs and after the last one, on the first process alone.

    Args:
        interval: Epochs between two looks.

    Raises:
        InputError: The interval is not positive; from the run, the first process does not have the whole of a
            masked image model.
    """
    priority = 'LOW'

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise InputError(f'{type(self).__name__} needs an interval of at least 1 epoch, but got {interval}')
        self.interval = interval

    def before_run(self, runner: Runner) -> None:
        model = runner.model
        spread = isinstance(model, FSDPModule) or (
            is_model_wrapper(model) and not isinstance(model, DistributedDataParallel))
        if spread or not isinstance(self._model(runner), MaskedImageModel):
            raise InputError(f'{type(self).__name__} needs a masked image model of this package, on several processes '
                             f'within DistributedDataParallel, but got {type(model).__name__}')

    @staticmethod
    def _model(runner: Runner) -> MaskedImageModel:
        return runner.model.module if is_model_wrapper(runner.model) else runner.model

    def after_train_epoch(self, runner: Runner) -> None:
        if self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner):
            self._look(runner)

    @master_only
    def _look(self, runner: Runner) -> None:
        self.look(runner, self._model(runner))

    @abstractmethod
    def look(self, runner: Runner, model: MaskedImageModel) -> None:
        """Look at the model; its mode and the training's random numbers stay as they are."""

    @staticmethod
    def log(runner: Runner, values: dict[str, float]) -> None:
        """Write scalars ``monitor/...`` to the log and to the visualiser's files."""
        scalars = {f'monitor/{name}': value for name, value in values.items()}
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        runner.logger.info('  '.join(f'{name}: {value:.4f}' for name, value in scalars.items()))


@HOOKS.register_module()
class FeatureMonitorHook(MonitorHook):
    """Top-1 accuracy in per cent of nearest neighbours and a linear probe on features of a labelled subset.

    Args:
        labelled: Folder with ``train`` and ``val``, one folder per class in each.
        interval: Epochs between two looks.
        probe: Fit the linear probe as well, which takes longer than the neighbours.

    Raises:
        InputError: The folder or one of its two parts does not exist.
    """

    def __init__(self, labelled: str, interval: int = 10, probe: bool = True) -> None:
        super().__init__(interval)
        self.labelled = Path(labelled).expanduser()
        for split in ('train', 'val'):
            if not (self.labelled / split).is_dir():
                raise InputError(f'FeatureMonitorHook finds no {self.labelled / split} with one folder per class')
        self.probe = probe

    def look(self, runner: Runner, model: MaskedImageModel) -> None:
        splits = labelled_features(model, self.labelled, runner.cfg)
        accuracies = dict(knn_top1=nearest_neighbours(*splits))
        if self.probe:
            accuracies['probe_top1'] = linear_probe(*splits, seed=0)
        self.log(runner, {name: 100 * value for name, value in accuracies.items()})


class ImageMonitorHook(MonitorHook):
    """A monitor of a few images under masks that stay the same.

    Args:
        images: Files and folders.
        interval: Epochs between two looks.
        number: At most so many images, spread over all that are found.
        seed: Chooses the masks.

    Raises:
        InputError: There is no such file or folder, no image in it, or the number is not positive.
    """

    def __init__(self, images: str | Sequence[str], interval: int = 1, number: int = 64, seed: int = 0) -> None:
        super().__init__(interval)
        self.paths = spread(image_paths([images] if isinstance(images, str) else images), number)
        self.seed = seed

    def before_run(self, runner: Runner) -> None:
        super().before_run(runner)
        model = self._model(runner)
        if model.target_generator.needs:  # told at once, not after the first epoch
            next(target_batches(model, self.paths[:1], 1, runner.cfg))


@HOOKS.register_module()
class HeldOutLossHook(ImageMonitorHook):
    """The loss of held-out images at the current size, always under the same masks.

    Unlike the training's loss it has no noise of crops and masks. Arguments are those of
    :class:`ImageMonitorHook`.
    """

    def look(self, runner: Runner, model: MaskedImageModel) -> None:
        self.log(runner, dict(held_out_loss=held_out_loss(model, self.paths, runner.cfg, self.seed)))


@HOOKS.register_module()
class PicturesHook(ImageMonitorHook):
    """Pictures of reconstructions, ``pictures/epoch_<N>.png`` in the work dir, always of the same images and masks.

    Arguments are those of :class:`ImageMonitorHook`.
    """

    def __init__(self, images: str | Sequence[str], interval: int = 10, number: int = 8, seed: int = 0) -> None:
        super().__init__(images, interval, number, seed)

    def look(self, runner: Runner, model: MaskedImageModel) -> None:
        _, batch = next(target_batches(model, self.paths, len(self.paths), runner.cfg))
        mask = fixed_masks(model, len(self.paths), self.seed)
        path = Path(runner.work_dir) / 'pictures' / f'epoch_{runner.epoch + 1}.png'
        path.parent.mkdir(exist_ok=True)
        save(reconstruction_figure(model, batch['inputs'], mask, reconstruct(model, mask=mask, **batch)), path)
