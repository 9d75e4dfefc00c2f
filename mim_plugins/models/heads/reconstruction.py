"""Prediction, target and mask on one grid."""
from typing import Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...ops import map_to_tokens, resize_mask, unpatchify
from ...registry import MODELS


@MODELS.register_module()
class ReconstructionHead(BaseModule):
    """Lays the prediction out on the target's grid and compares the two.

    The target's own grid is the common one, so that mask units equal to, coarser or finer than the
    encoder's stride are one and the same case. The loss is computed in float32 with autocast off; over
    the masked region it is a mean over all elements of all masked cells of the batch (FastMIM,
    arXiv 2212.06593).

    Args:
        loss: Config of a loss called with prediction and target [B, N, C] and mask [B, N] or None.
        region: Compare the masked area or the full image.
        channels_last: Order in which a predicted token holds its values: (row, column, channel) or
            (channel, row, column). Released pixel checkpoints have the former.

    Raises:
        InputError: Unknown region.
    """

    def __init__(self, loss: dict | None = None, region: Literal['masked', 'full'] = 'masked',
                 channels_last: bool = False) -> None:
        super().__init__()
        if region not in ('masked', 'full'):
            raise InputError(f"a head's region must be 'masked' or 'full', but is {region!r}")
        self.loss_module = MODELS.build(
            loss or dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'))
        self.region = region
        self.channels_last = channels_last

    def lay_out(self, prediction: Tensor, size: tuple[int, int]) -> Tensor:
        """Spread predicted tokens [B, C * f ** 2, h, w] over the target's grid ``size`` = (f * h, f * w).

        Returns:
            [B, C, *size].
        """
        grid = tuple(prediction.shape[-2:])
        return unpatchify(map_to_tokens(prediction), grid, size[0] // grid[0], self.channels_last)

    def loss(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Compare.

        Args:
            prediction: [B, C * f ** 2, H / f, W / f].
            target: [B, C, H, W].
            mask: [B, h, w] with h, w dividing H, W; True = masked.

        Returns:
            Float32 scalar.
        """
        size = tuple(target.shape[-2:])
        with torch.autocast(target.device.type, enabled=False):
            prediction = map_to_tokens(self.lay_out(prediction.float(), size))
            region = resize_mask(mask, size).flatten(1) if self.region == 'masked' else None
            return self.loss_module(prediction, map_to_tokens(target.float()), region)
