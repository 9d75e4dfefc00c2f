"""Prediction, target and mask on one grid."""
from typing import Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...ops import map_to_tokens, resize_mask
from ...registry import MODELS


@MODELS.register_module()
class ReconstructionHead(BaseModule):
    """Compares prediction and target on the target's own grid.

    That grid is the common one, so that mask units equal to, coarser or finer than the encoder's stride
    are one and the same case. The loss is computed in float32 with autocast off.

    Args:
        loss: Config of a loss called with prediction [B, N, C], target [B, N, C'] and mask [B, N] or None;
            None is :class:`ReconstructionLoss`, a mean squared error (FastMIM, arXiv 2212.06593).
        region: Compare the masked area or the full image.

    Raises:
        InputError: Unknown region.
    """

    def __init__(self, loss: dict | None = None, region: Literal['masked', 'full'] = 'masked') -> None:
        super().__init__()
        if region not in ('masked', 'full'):
            raise InputError(f"a head's region must be 'masked' or 'full', but is {region!r}")
        self.loss_module = MODELS.build({'type': 'mim_plugins.ReconstructionLoss', **(loss or {})})
        self.region = region

    def loss(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Compare.

        Args:
            prediction: [B, C, H, W].
            target: [B, C', H, W]; C' = C, or integer classes of C' groups.
            mask: [B, h, w] with h, w dividing H, W; True = masked.

        Returns:
            Float32 scalar.
        """
        region = resize_mask(mask, tuple(target.shape[-2:])).flatten(1) if self.region == 'masked' else None
        return self.compare(map_to_tokens(prediction), map_to_tokens(target), region)

    def compare(self, prediction: Tensor, target: Tensor, region: Tensor | None = None) -> Tensor:
        """The loss of cells [B, N, C] in float32, over those where ``region`` [B, N] is True; None compares all."""
        with torch.autocast(target.device.type, enabled=False):
            return self.loss_module(
                prediction.float(), target.float() if target.is_floating_point() else target, region)
