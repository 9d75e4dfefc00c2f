from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...datasets import UnlabelledImages
from ...models import MaskedImageModel
from ...registry import HOOKS
from ..launch import effective_batch


def _millions(module: nn.Module) -> str:
    return f'{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.2f} M'


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Logs one block at the start of a run: batch arithmetic, learning rate, sizes, parameters.

    Warns when the effective batch is not the one that the recipe's learning rate was made for, and at
    the end names the files that could not be read.
    """

    def before_train(self, runner: Runner) -> None:
        runner.logger.info('\n'.join(
            ['Run summary', *(f'  {name:<14} {value}' for name, value in self._rows(runner).items())]))
        base = runner.cfg.get('auto_scale_lr', {}).get('base_batch_size')
        batch = effective_batch(runner.cfg, get_world_size())
        if base and batch != base:
            runner.logger.warning(
                f'the effective batch is {batch}, but the learning rate of '
                f'{runner.cfg.optim_wrapper.optimizer.lr:g} was made for {base}: use --auto-scale-lr, another '
                'batch size or number of GPUs, or optim_wrapper.accumulative_counts')

    def after_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        if isinstance(dataset, UnlabelledImages):
            found = sorted(set().union(*all_gather_object(dataset.unreadable_files())))
            if found:
                runner.logger.warning(
                    f'{len(found)} of {len(dataset)} files could not be read and were left out: {", ".join(found)}')

    def _rows(self, runner: Runner) -> dict[str, str]:
        cfg, loader = runner.cfg, runner.train_dataloader
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        processes, accumulation = get_world_size(), cfg.optim_wrapper.get('accumulative_counts', 1)
        rows = {
            'batch': f'{processes} processes x {cfg.train_dataloader.batch_size} images x {accumulation} '
                     f'accumulated = {effective_batch(cfg, processes)} '
                     f'(recipe: {cfg.get("auto_scale_lr", {}).get("base_batch_size", "not stated")})',
            'learning rate': f'{cfg.optim_wrapper.optimizer.lr:g} at its peak',
            'images': f'{len(loader.dataset)}, {runner.max_epochs} epochs of {len(loader)} iterations',
        }
        if isinstance(model, MaskedImageModel):
            strategy = model.data_preprocessor.mask_strategy
            rows |= {
                'input size': '{} x {} px'.format(*model.input_size),
                'mask': f'{type(strategy).__name__}, unit {strategy.unit} px, ratio {strategy.ratio}, on '
                        '{} x {} units'.format(*strategy.grid(model.input_size)),
                'encoder': f'{type(model.backbone).__name__}, {_millions(model.backbone)} parameters',
            }
        return rows | {'whole model': f'{_millions(model)} parameters'}
