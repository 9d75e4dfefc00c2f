from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ...compat import accumulation_steps
from ...datasets import UnlabelledImages
from ...errors import InputError
from ...models import MaskedImageModel
from ...registry import HOOKS


def _millions(module: nn.Module) -> str:
    return f'{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.2f} M'


def _unreadable(dataset: Dataset) -> list[str]:
    """Unreadable files of a data set, also inside mmengine's and torch's wrappers."""
    inner = [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', [])]
    own = dataset.unreadable_files() if isinstance(dataset, UnlabelledImages) else []
    return own + [name for part in inner if part is not None for name in _unreadable(part)]


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Logs one block at the start of a run: batch arithmetic, learning rate, sizes, parameters.

    Warns when the effective batch is not the one that the recipe's learning rate was made for, and
    after each epoch names the files that turned out unreadable on any rank.
    """

    def __init__(self) -> None:
        self._named: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        loader, optim, model = runner.train_dataloader, runner.optim_wrapper, runner.model
        model = model.module if is_model_wrapper(model) else model
        recipe = runner.cfg.get('auto_scale_lr') or {}
        base = recipe.get('base_batch_size')
        scaled = recipe.get('scaled_to', base)
        processes = get_world_size()
        accumulation = accumulation_steps(optim)
        batch = processes * loader.batch_size * accumulation
        lr = optim.optimizer.defaults['lr']
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        length = f'{runner.max_epochs} epochs of {len(loader)} iterations' if by_epoch else (
            f'{runner.max_iters} iterations')
        rows = {
            'batch': f'{processes} processes x {loader.batch_size} images x {accumulation} accumulated = {batch} '
                     f'(recipe: {base or "not stated"})',
            'learning rate': f'{lr:g} at its peak' + (f', scaled from batch {base}' if scaled != base else ''),
            'images': f'{len(loader.dataset)}, {length}',
            **(self._model_rows(model) if isinstance(model, MaskedImageModel) else {}),
            'whole model': f'{_millions(model)} parameters',
        }
        if by_epoch:
            self._check_last_batch(loader, model)
        runner.logger.info('\n'.join(['Run summary', *(f'  {name:<14} {value}' for name, value in rows.items())]))
        if runner.iter >= runner.max_iters:
            runner.logger.warning(f'nothing is left to do: iteration {runner.iter} of {runner.max_iters} is reached')
        if base and batch != scaled:
            runner.logger.warning(
                f'the effective batch is {batch}, but the learning rate of {lr:g} was made for {base}: use '
                '--auto-scale-lr, another batch size or number of GPUs, or optim_wrapper.accumulative_counts')

    @staticmethod
    def _check_last_batch(loader: DataLoader, model: nn.Module) -> None:
        """Tell at once what would otherwise come out at the end of the first epoch."""
        mixes = getattr(getattr(model, 'data_preprocessor', None), 'content', None) == 'mix'
        left = len(loader.sampler) % loader.batch_size or loader.batch_size
        if mixes and (loader.batch_size == 1 or left == 1 and not loader.drop_last):
            remedy = 'train_dataloader.drop_last=True or another batch size' if loader.batch_size > 1 and len(
                loader.sampler) > 1 else 'take more images and a larger train_dataloader.batch_size'
            raise InputError(f'mixing needs at least two images in a batch, but each epoch of {len(loader.sampler)} '
                             f'images in batches of {loader.batch_size} ends with one: {remedy}')

    @staticmethod
    def _model_rows(model: MaskedImageModel) -> dict[str, str]:
        preprocessor = model.data_preprocessor
        strategy = preprocessor.mask_strategy
        range_ = f' to {strategy.ratio + strategy.ratio_range:g}' if getattr(strategy, 'ratio_range', 0) else ''
        return {
            'input size': '{} x {} px'.format(*model.input_size),
            'mask': f'{type(strategy).__name__}, unit {strategy.unit} px, ratio {strategy.ratio}{range_}, on '
                    '{} x {} units'.format(*strategy.grid(model.input_size)),
            **({'filled with': preprocessor.described(), 'reconstructed': model.described()}
               if model.takes_mixed_images else {}),
            'target': type(model.target_generator).__name__,
            'encoder': f'{type(model.backbone).__name__}, {_millions(model.backbone)} parameters',
        }

    def after_train_epoch(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        found = set().union(*all_gather_object(_unreadable(dataset)))
        if new := sorted(found - self._named):
            runner.logger.warning(f'{len(found)} of {len(dataset)} files could not be read so far and were left '
                                  f'out; new in this epoch: {", ".join(new)}')
            self._named |= found
