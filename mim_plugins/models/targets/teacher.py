from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ...ops import divide, map_to_tokens, tokens_to_map
from ...registry import MODELS
from .frozen import FrozenNetworkTarget, frozen_network


@MODELS.register_module()
class TeacherTarget(FrozenNetworkTarget):
    """Features that a frozen teacher gives the whole, unmasked image, while the student trains.

    Map [B, channels, H / cell, W / cell]. The teacher is no submodule, see :class:`FrozenNetworkTarget`.

    Args:
        teacher: Config of an encoder whose last output is a map or tokens: a ViT of mmpretrain wants
            ``out_type='raw'``.
        channels: Width of its features.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise.
        cell: Pixels per feature.
        checkpoint: Local file with the teacher's weights, as they are or behind the prefix ``backbone.``; further
            tensors in it are ignored.
        random_weights: Go without weights, for tests and dry runs; they are the same in every run.
        teacher_mean: What the teacher expects to be subtracted from intensities of 0 to 255; None is ``mean``.
        teacher_std: What it expects them to be divided by; None is ``std``.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: No weights, or weights that do not fit; from a call, features of another width or grid.
    """

    def __init__(self, teacher: dict, channels: int, mean: Sequence[float], std: Sequence[float], cell: int = 16,
                 checkpoint: str | Path | None = None, random_weights: bool = False,
                 teacher_mean: Sequence[float] | None = None, teacher_std: Sequence[float] | None = None,
                 **layout: Any) -> None:
        super().__init__(channels, cell, **layout)
        self.hold(frozen_network(teacher, checkpoint, random_weights, 'teacher'))
        mean, std, teacher_mean, teacher_std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (mean, std, teacher_mean or mean, teacher_std or std))
        # From the run's normalisation to the teacher's in one step.
        self.register_buffer('scale', std / teacher_std, persistent=False)
        self.register_buffer('shift', (mean - teacher_mean) / teacher_std, persistent=False)

    def make(self, images: Tensor) -> Tensor:
        features = self.network(images * self.scale + self.shift)
        features = features if isinstance(features, Tensor) else features[-1]
        grid = divide(tuple(images.shape[-2:]), self.map_stride, 'features of the teacher')
        number, extra = grid[0] * grid[1], getattr(self.network, 'num_extra_tokens', 0)
        tokens = map_to_tokens(features) if features.ndim == 4 else features[:, extra:]
        if tuple(tokens.shape[1:]) != (number, self.channels):
            raise InputError(f'the teacher was said to give {self.channels} channels on a grid of {grid[0]}x{grid[1]} '
                             f'(cell={self.map_stride}), but gave {list(features.shape)} with {extra} extra tokens')
        return tokens_to_map(tokens, grid)
