"""Runs a function in two processes of a gloo group."""
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope

from ...runs import start_two


def _one(rank: int, function: Callable, arguments: tuple, folder: str) -> None:
    os.environ['LOCAL_RANK'] = str(rank)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    init_default_scope('mmpretrain')
    torch.save(function(*arguments), Path(folder) / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def in_two_processes(function: Callable, *arguments: Any) -> list[Any]:
    """What the function returns in each of two processes; it must be importable."""
    with tempfile.TemporaryDirectory() as folder:
        start_two(_one, function, arguments, folder)
        return [torch.load(Path(folder) / f'{rank}.pth', weights_only=False) for rank in range(2)]


def joined(value: Any) -> Any:
    """A batch of both processes after each other; tensors are stacked along their first dimension."""
    if isinstance(value, dict):
        return {name: joined(part) for name, part in value.items()}
    if not isinstance(value, torch.Tensor):
        return value
    parts = [torch.empty_like(value) for _ in range(2)]
    torch.distributed.all_gather(parts, value.contiguous())
    return torch.cat(parts)
