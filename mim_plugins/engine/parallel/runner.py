from collections.abc import Callable
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import EMAHook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import nn

from ...errors import InputError
from ...registry import RUNNERS
from .sharded import shard, take_shards_of_state, whole


@RUNNERS.register_module()
class ShardedRunner(Runner):
    """mmengine's runner with the model, its gradients and the optimizer's state spread over all processes.

    Checkpoints are those of a run without: whole tensors, the same names, written by the first process. A run can go on
    from one of the other kind. Named by ``runner_type``, or by ``--fsdp`` of ``tools/train.py``.

    Raises:
        InputError: One process without a launcher, mixed precision in fp16, an exponential moving average (which needs
            a copy of the model), or a model without transformer blocks.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Initialise the weights while they are whole, then spread them."""
        if not self.distributed:
            raise InputError('a model is spread over several processes: start with tools/dist_train.sh, '
                             'tools/slurm_train.sh or torchrun and --launcher pytorch')
        model = model.to(get_device())
        model.init_weights()
        for value in model.state_dict().values():
            broadcast(value)
        dtype = self._dtype()
        model = shard(model, dtype)
        if dtype != torch.float32:  # training has its autocast, but mmengine's other loops have none by default
            for name in ('val_step', 'test_step'):
                setattr(model, name, torch.autocast(get_device(), dtype)(getattr(model, name)))
        return model

    def _dtype(self) -> torch.dtype:
        wrapper = self.cfg.get('optim_wrapper') or {}
        if not str(wrapper.get('type')).endswith(AmpOptimWrapper.__name__):
            return torch.float32
        if wrapper.get('dtype') not in ('bfloat16', torch.bfloat16):
            raise InputError('a model spread over processes trains in bf16 or float32, but optim_wrapper.dtype is '
                             f'{wrapper.get("dtype")}: use --amp bf16')
        return torch.bfloat16

    def _init_model_weights(self) -> None:
        """Done in :meth:`wrap_model`."""

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """Build it; its optimizer then loads whole states."""
        built = isinstance(optim_wrapper, OptimWrapper)
        optim_wrapper = super().build_optim_wrapper(optim_wrapper)
        if not built:
            take_shards_of_state(optim_wrapper.optimizer)
        return optim_wrapper

    def call_hook(self, fn_name: str, **given: Any) -> None:
        """Call the hooks; they meet whole tensors in a checkpoint."""
        if fn_name == 'before_run' and any(isinstance(hook, EMAHook) for hook in self.hooks):
            raise InputError('EMAHook needs a copy of the model, but its parameters are spread over processes: leave '
                             'it or --fsdp out')
        if fn_name == 'before_train_iter':
            self.model.set_requires_gradient_sync(self.optim_wrapper.should_sync())
        if fn_name == 'before_save_checkpoint':
            given['checkpoint'].update(self._whole)
        super().call_hook(fn_name, **given)

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True,
               map_location: str | Callable = 'cpu') -> None:
        """Go on from a checkpoint, which is read into main memory: no device has to hold all of it."""
        super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)

    def save_checkpoint(self, *args: Any, save_optimizer: bool = True, **options: Any) -> None:
        """Gather what is spread, in all processes, and let the first one save it; arguments are mmengine's."""
        main = is_main_process()
        self._whole = dict(state_dict=whole(self.model.state_dict(), keep=main))
        if save_optimizer:
            self._whole['optimizer'] = whole(self.optim_wrapper.state_dict(), keep=main)
        super().save_checkpoint(*args, save_optimizer=save_optimizer, **options)
        del self._whole
