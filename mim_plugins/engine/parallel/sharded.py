"""Models whose parameters, gradients and optimizer state are spread over the processes (FSDP2, ZeRO stage 3)."""
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from ...errors import InputError


def transformer_blocks_in(model: nn.Module) -> list[nn.Module]:
    """Every module that has attention and a feed-forward network of its own, as the blocks of all our encoders."""
    names = ((block, {name for name, _ in block.named_children()}) for block in model.modules())
    return [block for block, children in names if 'attn' in children and children & {'ffn', 'mlp'}]


def shard(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Spread a model's parameters over all processes, in place.

    Each transformer block is gathered when it is needed and given up after it; the rest of the model is gathered for
    the whole step. Names of parameters stay the same, state dicts of whole tensors can be loaded as ever, and
    :func:`whole` makes them.

    Args:
        model: With the same values in all processes, on the training device.
        dtype: Of the blocks' gathered parameters and of what they compute in; gradients are summed in float32. What
            is outside of the blocks (targets, losses, embeddings, the decoder's last layers) stays in float32, as do
            blocks with BatchNorm.

    Returns:
        The model itself.

    Raises:
        InputError: It has no transformer blocks.
    """
    blocks = transformer_blocks_in(model)
    if not blocks:
        raise InputError(f'{type(model).__name__} has no transformer blocks (modules with attn and ffn or mlp) to '
                         'spread over the processes: train it with DDP, without --fsdp')
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in blocks:
        plain = dtype == torch.float32 or any(isinstance(part, _BatchNorm) for part in block.modules())
        fully_shard(block, mp_policy=MixedPrecisionPolicy() if plain else policy)
    fully_shard(model)
    for part in model.modules():
        part.register_load_state_dict_pre_hook(_take_shards)
    return model


def _like(value: Any, parameter: nn.Parameter) -> Any:
    """This process's part of a whole tensor that belongs to a parameter; anything else as it is."""
    if not isinstance(parameter, DTensor) or not isinstance(value, Tensor) or isinstance(value, DTensor) or (
            value.shape != parameter.shape):
        return value
    # Every process has read the whole: nothing is sent.
    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements,
                             src_data_rank=None)


def _take_shards(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before a module's own parameters are loaded."""
    for name, parameter in module.named_parameters(recurse=False):
        if prefix + name in state_dict:
            state_dict[prefix + name] = _like(state_dict[prefix + name], parameter)


def take_shards_of_state(optimizer: Optimizer) -> None:
    """Let an optimizer of a sharded model load a state dict of whole tensors."""
    optimizer.register_load_state_dict_pre_hook(_sharded_state)


def _sharded_state(optimizer: Optimizer, state_dict: dict) -> dict:
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    state = {place: {name: _like(value, parameters[place]) for name, value in values.items()}
             for place, values in state_dict['state'].items()}
    return {**state_dict, 'state': state}


def whole(state: Any, keep: bool = True) -> Any:
    """Nested state with every sharded tensor gathered on the CPU; all processes must call it together.

    Args:
        state: Dicts, lists and tensors, as of ``state_dict()``.
        keep: Whether this process wants the result; the others only take part, and get None for a tensor.
    """
    if isinstance(state, dict):
        return {name: whole(value, keep) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(whole(value, keep) for value in state)
    if isinstance(state, DTensor):
        gathered = state.full_tensor()  # one at a time: the whole never is on the device
        return gathered.cpu() if keep else None
    return state.cpu() if isinstance(state, Tensor) else state
