from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...models import MaskedImageModel
from ...registry import HOOKS
from ..launch import effective_batch


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Prints one block at the start of a run: batch arithmetic, learning rate, sizes, parameters.

    Warns when the effective batch is not the one that the recipe's learning rate was made for.
    """

    def before_train(self, runner: Runner) -> None:
        runner.logger.info('\n'.join(['Run summary', *self._lines(runner)]))
        base = runner.cfg.get('auto_scale_lr', {}).get('base_batch_size')
        batch = effective_batch(runner.cfg, get_world_size())
        if base and batch != base:
            runner.logger.warning(
                f'the effective batch is {batch}, but the learning rate {runner.cfg.optim_wrapper.optimizer.lr:g} '
                f'was made for {base}: use --auto-scale-lr, other GPU or batch numbers, or '
                'optim_wrapper.accumulative_counts')

    def _lines(self, runner: Runner) -> list[str]:
        cfg = runner.cfg
        per_process = cfg.train_dataloader.batch_size
        accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
        processes = get_world_size()
        base = cfg.get('auto_scale_lr', {}).get('base_batch_size')
        rows = {
            'batch': f'{processes} processes x {per_process} images x {accumulation} accumulated = '
                     f'{effective_batch(cfg, processes)} (recipe: {base or "not stated"})',
            'learning rate': f'{cfg.optim_wrapper.optimizer.lr:g} at its peak',
            'images': f'{len(runner.train_dataloader.dataset)}, {runner.max_epochs} epochs of '
                      f'{len(runner.train_dataloader)} iterations',
        }
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, MaskedImageModel):
            rows |= self._model_rows(model)
        rows['parameters'] = ', '.join(
            f'{name} {sum(p.numel() for p in part.parameters()) / 1e6:.2f} M'
            for name, part in (('whole model', model), ('encoder', getattr(model, 'backbone', None))) if part)
        return [f'  {name:<14} {value}' for name, value in rows.items()]

    @staticmethod
    def _model_rows(model: MaskedImageModel) -> dict[str, str]:
        height, width = model.input_size
        strategy = model.data_preprocessor.mask_strategy
        grid = strategy.grid(model.input_size)
        return {
            'input size': f'{height} x {width} px',
            'mask': f'{type(strategy).__name__}, unit {strategy.unit} px, ratio {strategy.ratio} on '
                    f'{grid[0]} x {grid[1]} units',
        }
