import inspect
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...errors import InputError
from ...files import write_whole
from ...registry import HOOKS


@register_backend('mim_plugins.atomic')
class AtomicLocalBackend(LocalBackend):
    """Local files that appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a temporary name beside the file, sync, rename."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda temporary: temporary.write_bytes(obj))


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook; a run killed while saving leaves no file that looks whole.

    The state of a :class:`~mim_plugins.engine.optim.ShardedOptimizer` is gathered first. Arguments are
    mmengine's. With ``backend_args`` of one's own, that storage is written to as it is.

    Raises:
        InputError: Unknown arguments, which mmengine would stumble over at the first save.
    """

    def __init__(self, *args: Any, backend_args: dict | None = None, **kwargs: Any) -> None:
        unknown = set(kwargs) - set(inspect.signature(CheckpointHook.__init__).parameters)
        if unknown:
            raise InputError(f'unknown options of the checkpoint hook: {", ".join(sorted(unknown))}')
        super().__init__(*args, backend_args=backend_args or dict(backend='mim_plugins.atomic'), **kwargs)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)  # several have none in common
        gather = getattr(optimizer, 'consolidate_state_dict', None)
        if gather and self.save_optimizer:
            gather(to=0)  # all processes take part, before the first one saves alone
        super()._save_checkpoint_with_step(runner, step, meta)
