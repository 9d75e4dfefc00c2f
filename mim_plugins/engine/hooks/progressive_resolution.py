from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import Dataset, Sampler

from ...analysis.held_out import fixed_masks
from ...analysis.runs import undisturbed
from ...compat import accumulation_steps, is_resuming
from ...datasets import KeyedInfiniteSampler, KeyedSampler, SampleKey
from ...errors import InputError
from ...models import MaskedImageModel
from ...ops import read_size
from ...registry import HOOKS


@dataclass(frozen=True)
class _Stage:
    """A stretch of training at one size."""
    begin: int
    end: int
    size: tuple[int, int]
    batch_size: int | None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _read_stages(stages: Sequence[dict]) -> tuple[str, list[_Stage]]:
    """What the stages are counted in, and the stages one after the other."""
    units = [unit for stage in stages for unit in ('epochs', 'iters') if unit in stage]
    if not stages or len(units) != len(stages) or len(set(units)) > 1:
        raise InputError("each stage must state either its 'epochs' or its 'iters', all in the same, but they are "
                         f'{list(stages)}')
    plan: list[_Stage] = []
    for stage in stages:
        unknown = set(stage) - {units[0], 'size', 'batch_size'}
        length, batch_size = stage[units[0]], stage.get('batch_size')
        if unknown or 'size' not in stage or not _is_count(length) or not (batch_size is None or _is_count(batch_size)):
            raise InputError(f"a stage has a positive number of {units[0]}, a size in pixels or (height, width), and "
                             f'maybe a positive batch_size, but one is {dict(stage)}')
        begin = plan[-1].end if plan else 0
        plan.append(_Stage(begin, begin + length, read_size(stage['size']), batch_size))
    return units[0], plan


@HOOKS.register_module()
class ProgressiveResolutionHook(Hook):
    """Pre-trains at one image size after the other (FastMIM-P, arXiv 2212.06593, section 3.4).

    At the begin of a stage, and after a resume in any stage, the model is told by its ``set_input_size``
    and the loader's sampler by its own; the size then travels with each sample's index, so that workers
    need no restart and no batch of the old size is left. Parameters never change shape. Checkpoints note
    size and batch size in their meta data.

    Another batch size takes effect per process and scales the learning rate linearly with it. Then the
    number of iterations per epoch changes as well, so it needs schedules that step once per epoch.

    Args:
        stages: Stages in order, e.g. ``[dict(epochs=200, size=128), dict(epochs=100, size=160)]``: length in
            ``epochs`` or ``iters``, ``size`` in pixels or (height, width), optionally ``batch_size``. They
            fill the whole training.

    Raises:
        InputError: The stages are not as described, do not fill the training, or model, sampler, pipeline
            or schedule cannot follow them.
    """
    priority = 'VERY_HIGH'  # before the hook that compares a checkpoint's shapes with the model's

    def __init__(self, stages: Sequence[dict]) -> None:
        self._unit, self._stages = _read_stages(stages)
        self._stage: _Stage | None = None
        self._batch_size: int | None = None

    def before_run(self, runner: Runner) -> None:
        """Check the whole plan before the first iteration."""
        loop, loader = runner.train_loop, runner.train_dataloader
        wanted = EpochBasedTrainLoop if self._unit == 'epochs' else IterBasedTrainLoop
        length = loop.max_epochs if self._unit == 'epochs' else loop.max_iters
        if not isinstance(loop, wanted) or length != self._stages[-1].end:
            raise InputError(f'the stages make {self._stages[-1].end} {self._unit}, but the training is an '
                             f'{type(loop).__name__} of {length}')
        self._check_sampler(loader.sampler)
        model = self._model(runner)
        for stage in reversed(self._stages):  # ends at the first
            model.set_input_size(stage.size)
            self._try(model, loader.collate_fn([self._sample(loader.dataset, stage.size)]))
        self._batch_size = loader.batch_size
        if any(stage.batch_size for stage in self._stages):
            self._check_schedules(runner)
            loop._max_iters = sum((stage.end - stage.begin) * self._epoch_length(runner, stage)
                                  for stage in reversed(self._stages))
        self._check_accumulation(runner)
        if self._unit == 'iters':
            loader.sampler.set_size_schedule(
                [(stage.begin * loader.batch_size, stage.size) for stage in self._stages])
        lines = [f'  {stage.begin:>7} - {stage.end:<7} {stage.size[0]} x {stage.size[1]} px, '
                 f'{stage.batch_size or loader.batch_size} images per process' for stage in self._stages]
        runner.logger.info('\n'.join([f'Stages, in {self._unit}', *lines]))

    def _check_sampler(self, sampler: Sampler) -> None:
        wanted = KeyedSampler if self._unit == 'epochs' else KeyedInfiniteSampler
        if not isinstance(sampler, wanted):
            raise InputError(f'stages in {self._unit} need a sampler that tells samples their size, '
                             f"sampler=dict(type='mim_plugins.{wanted.__name__}'), but the loader has a "
                             f'{type(sampler).__name__}')
        if not hasattr(InfiniteSampler, 'skip'):
            raise InputError('stages need an mmengine whose samplers can skip, onedl-mmengine 0.10.12 or later')

    @staticmethod
    def _sample(dataset: Dataset, size: tuple[int, int]) -> dict:
        """One sample out of the pipeline, in the size that was asked for."""
        sample = dataset[SampleKey(0, (0, ), size)]
        came = tuple(sample['inputs'].shape[-2:])
        if came != size:
            raise InputError(
                f'a sample of {size[0]}x{size[1]} px was asked for, but the pipeline gave {came[0]}x{came[1]}: crop '
                'with mim_plugins.RandomResizedCrop, in mim_plugins.UnlabelledImages or mim_plugins.KeyedDataset')
        return sample

    @staticmethod
    def _try(model: MaskedImageModel, batch: dict) -> None:
        """Encoders of others may find out only in the forward that a size is not theirs."""
        size = model.input_size
        try:
            with undisturbed(model):
                model(**model.data_preprocessor.normalized(batch), mask=fixed_masks(model, 1), mode='predict')
        except (RuntimeError, AssertionError) as error:
            raise InputError(f'{type(model.backbone).__name__} does not take images of {size[0]}x{size[1]} in its '
                             f'forward: {str(error).splitlines()[0]}') from error

    def _check_schedules(self, runner: Runner) -> None:
        if self._unit == 'iters' or any(not scheduler.by_epoch for scheduler in runner.param_schedulers or []):
            raise InputError('a batch size that changes between stages needs stages in epochs and schedules that step '
                             'once per epoch: by_epoch=True without convert_to_iter_based')

    def _check_accumulation(self, runner: Runner) -> None:
        """Gradients of two sizes or batch sizes do not go into one step."""
        accumulated = accumulation_steps(runner.optim_wrapper)
        for stage in reversed(self._stages):  # ends with the first one's batch size
            per_unit = self._epoch_length(runner, stage) if self._unit == 'epochs' else 1
            length = (stage.end - stage.begin) * per_unit
            if length % accumulated:
                raise InputError(f'the stage from {stage.begin} to {stage.end} {self._unit} makes {length} iterations, '
                                 f'but {accumulated} are accumulated for each step: take a divisor, or other batches')

    def _epoch_length(self, runner: Runner, stage: _Stage) -> int:
        loader = runner.train_dataloader
        loader.batch_sampler.batch_size = stage.batch_size or loader.batch_size
        return len(loader)

    @staticmethod
    def _model(runner: Runner) -> MaskedImageModel:
        return runner.model.module if is_model_wrapper(runner.model) else runner.model

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the size that the weights were saved at, so that every shape matches."""
        if is_resuming(runner):
            meta = checkpoint['meta']
            self._model(runner).set_input_size(tuple(meta.get('input_size') or self._stages[0].size))
            self._batch_size = meta.get('batch_size', self._batch_size)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta'].update(input_size=self._model(runner).input_size, batch_size=self._batch_size)

    def before_train_epoch(self, runner: Runner) -> None:
        self._enter(runner, runner.epoch if self._unit == 'epochs' else runner.iter)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self._unit == 'iters':
            self._enter(runner, runner.iter)

    def _enter(self, runner: Runner, now: int) -> None:
        stage = next((stage for stage in self._stages if now < stage.end), self._stages[-1])
        if stage is self._stage:
            return
        self._stage = stage
        self._model(runner).set_input_size(stage.size)
        if self._unit == 'epochs':
            runner.train_dataloader.sampler.set_input_size(stage.size)
        self._set_batch_size(runner, stage)
        runner.logger.info(f'{self._unit} {now}: images of {stage.size[0]}x{stage.size[1]} px from here to {stage.end}')

    def _set_batch_size(self, runner: Runner, stage: _Stage) -> None:
        loader = runner.train_dataloader
        batch_size = stage.batch_size or loader.batch_size
        factor = batch_size / self._batch_size
        self._batch_size = loader.batch_sampler.batch_size = batch_size
        if factor == 1:
            return
        # Schedules multiply what they find, and some look at their base values.
        for group in runner.optim_wrapper.param_groups:
            group.update(lr=group['lr'] * factor, initial_lr=group.get('initial_lr', group['lr']) * factor)
        for scheduler in runner.param_schedulers or []:
            scheduler.base_values = [value * factor for value in scheduler.base_values]
