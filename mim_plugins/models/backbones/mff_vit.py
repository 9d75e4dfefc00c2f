from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS
from .sin_cos_vit import SinCosVisionTransformer


@MODELS.register_module()
class MFFVisionTransformer(SinCosVisionTransformer):
    """A ViT whose output is a weighted mean of several layers (MFF, arXiv 2308.00261, section 3.2).

    Each layer but the last goes through a linear projection of its own; softmax over one learned number per layer
    gives the weights; the final norm comes after. The names in the state dict are those of mmpretrain's ``MFFViT``; the
    layers alone load into its ``VisionTransformer`` for fine-tuning.

    Args:
        fused_layers: Layers to take, rising, counted from 0; the last one of the encoder has to be the last here.
        **options: Those of :class:`SinCosVisionTransformer` but ``out_indices`` and ``out_type``.

    Raises:
        InputError: Layers that do not rise up to the encoder's last one.
    """

    def __init__(self, fused_layers: Sequence[int] = (0, 2, 4, 6, 8, 11), **options: Any) -> None:
        super().__init__(**{'out_type': 'raw', **options, 'out_indices': list(fused_layers)})
        if list(fused_layers) != sorted(set(fused_layers)) or fused_layers[-1] != self.num_layers - 1:
            raise InputError(f'the layers to fuse must rise up to the last one, {self.num_layers - 1}, but are '
                             f'{tuple(fused_layers)}')
        self.final_norm = False  # in the forward of the layers: it comes after the fusion
        self.proj_layers = nn.ModuleList(nn.Linear(self.embed_dims, self.embed_dims) for _ in fused_layers[1:])
        self.proj_weights = nn.Parameter(torch.ones(len(fused_layers), 1, 1, 1))

    def watched(self) -> dict[str, Tensor]:
        """Weights of the fused layers, for a training's log."""
        weights = self.proj_weights.detach().flatten().softmax(0)
        return {f'weight_{number}': weight for number, weight in enumerate(weights)}

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Encode images [B, C, H, W] into tokens [B, 1 + N, embed_dims]."""
        *layers, last = super().forward(x)
        layers = [project(layer) for project, layer in zip(self.proj_layers, layers, strict=True)]
        fused = (torch.stack([*layers, last]) * self.proj_weights.softmax(0)).sum(0)
        return (self.norm1(fused), )
