"""What encoders of four stages share."""
from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import InputError


def stage_settings(zoo: dict[str, dict], arch: str | dict, keys: Sequence[str]) -> dict:
    """An encoder's settings per stage, by name or as they are.

    Raises:
        InputError: Unknown name, or other keys than ``keys`` or other lengths than four.
    """
    if isinstance(arch, dict):
        per_stage = [value for value in arch.values() if isinstance(value, Sequence)]
        if set(arch) != set(keys) or any(len(values) != 4 for values in per_stage):
            raise InputError(f'arch must state {", ".join(keys)} for four stages, but is {dict(arch)}')
        return arch
    if arch not in zoo:
        raise InputError(f'arch must be one of {", ".join(zoo)} or a dict, but is {arch!r}')
    return zoo[arch]


def check_outputs(out_indices: Sequence[int], stages: int = 4) -> tuple[int, ...]:
    """Stages to give, counted from 0, of an encoder of so many.

    Raises:
        InputError: There is no such stage.
    """
    if not out_indices or not set(out_indices) <= set(range(stages)):
        raise InputError(f'out_indices must name stages from 0 to {stages - 1}, but is {tuple(out_indices)}')
    return tuple(out_indices)


def check_groups(groups: Tensor | None, images: Tensor, stride: int) -> None:
    """Refuse groups of places that an encoder cannot keep apart in images [B, C, H, W].

    Args:
        groups: Bool [B, h, w] of units of a multiple of ``stride`` pixels, or None.
        images: Those that come with them.
        stride: Side in pixels of the smallest unit that the encoder does not merge with its neighbours.

    Raises:
        InputError: They are something else.
    """
    if groups is None:
        return
    batch, _, height, width = images.shape
    if groups.dtype != torch.bool or groups.ndim != 3 or len(groups) != batch:
        raise InputError(f'groups must be bool [{batch}, h, w] for a batch of {batch} images, but are {groups.dtype} '
                         f'{list(groups.shape)}')
    rows, columns = groups.shape[1:]
    if height % (rows * stride) or width % (columns * stride):
        raise InputError(f'groups of {rows}x{columns} units in images of {height}x{width} px are no units of a '
                         f'multiple of {stride} px')


def check_stride(images: Tensor, stride: int) -> None:
    """Raise an InputError if the sides of images [B, C, H, W] are not multiples of ``stride``."""
    height, width = images.shape[-2:]
    if height % stride or width % stride:
        raise InputError(f'the encoder takes images whose sides are multiples of {stride} px, but got {height}x{width}')


def layer_depth(name: str, prefix: str, depths: Sequence[int], embeddings: Sequence[str]) -> tuple[int, int]:
    """Layer of a parameter of a four-stage encoder, and number of layers.

    Layer 0 is the first embedding, each block is one, an embedding and what merges patches before a stage belong to the
    block before it, and all else is the last.

    Args:
        name: The parameter's.
        prefix: What the encoder's parameters begin with.
        depths: Blocks per stage.
        embeddings: First parts of the names of what stands before each stage, with the stage's number next.
    """
    layers = sum(depths) + 2
    if not name.startswith(prefix):
        return layers - 1, layers
    first, *rest = name[len(prefix):].split('.')
    if first in embeddings:
        return sum(depths[:int(rest[0])]), layers
    if first == 'stages':
        before, (part, *_) = sum(depths[:int(rest[0])]), [part for part in rest[1:] if part != 'blocks']
        return before + (int(part) + 1 if part.isdigit() else 0), layers
    return (0 if first in ('stem', 'patch_embed') else layers - 1), layers
