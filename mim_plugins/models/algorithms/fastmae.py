from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...ops import map_to_tokens, resize_mask, visible_places
from ...registry import MODELS
from ..backbones.blocks import BlockOutputs, transformer_blocks
from .mae import MAE


@MODELS.register_module()
class FastMAE(MAE):
    """FastMAE: MAE that predicts a teacher's features, in every layer (Computational Visual Media 2025).

    The target is usually an :class:`OfflineTarget`, the decoder one block. With ALM ("all layers matter") each block of
    the encoder predicts the target of the visible tokens by a linear head of its own. These heads are not in
    ``backbone``: nothing of them is left when the encoder is taken out.

    Args:
        layer_loss_weight: Weight of ALM's loss, the mean over the blocks, beside the decoder's; 0 leaves it out.
        **parts: Those of :class:`MaskedImageModel`.

    Raises:
        InputError: A negative weight; with ALM, an encoder without a sequence of transformer blocks, a target whose
            cells are not its tokens, or classes as target; see also :class:`MaskedImageModel`.
    """

    def __init__(self, layer_loss_weight: float = 1., **parts: Any) -> None:
        super().__init__(**parts)
        if layer_loss_weight < 0:
            raise InputError(f'the weight of a loss must not be negative, but layer_loss_weight is {layer_loss_weight}')
        self.layer_loss_weight = layer_loss_weight
        self.layer_heads = nn.ModuleList()
        self._layers = BlockOutputs(())
        if not layer_loss_weight:
            return
        blocks, cell = transformer_blocks(self.backbone), self.target_generator.map_stride
        if not blocks:
            raise InputError('ALM supervises the transformer blocks of a plain ViT or ConvMAEEncoder, but the encoder '
                             f'is a {type(self.backbone).__name__}: take layer_loss_weight=0')
        if cell != self.neck.stride or self.target_generator.discrete:
            raise InputError(f'ALM predicts one vector for each token of {self.neck.stride} px, but '
                             f'{type(self.target_generator).__name__} has '
                             + ('classes' if self.target_generator.discrete else f'cells of {cell} px')
                             + ': take a target of features with that cell, or layer_loss_weight=0')
        self._layers = BlockOutputs(blocks)
        self.layer_heads.extend(
            nn.Linear(self.neck.in_channels, self.target_generator.channels) for _ in blocks)

    def init_weights(self) -> None:
        super().init_weights()
        for head in self.layer_heads:
            nn.init.xavier_uniform_(head.weight)
            nn.init.zeros_(head.bias)

    def loss(self, inputs: Tensor, mask: Tensor, clean: Tensor | None = None,
             target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Losses ``loss_decoder`` and, with ALM, ``loss_layers``; arguments as of :meth:`MaskedImageModel.loss`."""
        target = self.target(inputs if clean is None else clean, target_inputs)
        with self._layers.kept() as layers:
            losses = dict(loss_decoder=self.head.loss(self.predict(inputs, mask), target, mask))
        if layers:
            losses['loss_layers'] = self.layer_loss_weight * self._layer_loss(layers, map_to_tokens(target), mask)
        return {**losses, **self.watched()}

    def _layer_loss(self, layers: list[Tensor], target: Tensor, mask: Tensor) -> Tensor:
        """Mean loss of the blocks' tokens [B, extra + K, D] against the target [B, N, C] of the visible ones."""
        extra = getattr(self.backbone, 'num_extra_tokens', self.neck.num_extra_tokens)
        number, grid, region = layers[0].shape[1] - extra, self.neck.grid(self.input_size), None
        if number == target.shape[1]:  # the masked ones are there as well
            region = ~resize_mask(mask, grid).flatten(1)
        else:
            places = visible_places(mask, grid, number).unsqueeze(-1)
            target = target.gather(1, places.expand(-1, -1, target.shape[-1]))
        losses = [self.head.compare(head(tokens[:, extra:]), target, region)
                  for head, tokens in zip(self.layer_heads, layers, strict=True)]
        return torch.stack(losses).mean()
