"""Distances between prediction and target, averaged over a region."""
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS

Criterion = Literal['L1', 'L2', 'SmoothL1', 'Cosine', 'CrossEntropy']
_DISTANCES = {'L1': F.l1_loss, 'L2': F.mse_loss, 'SmoothL1': F.smooth_l1_loss}


@MODELS.register_module()
class ReconstructionLoss(BaseModule):
    """Mean over all values of all masked cells of the batch, or over all cells.

    Args:
        criterion: Distance of two values; ``'Cosine'`` is 1 - cosine of two cells' vectors, for features of a teacher;
            ``'CrossEntropy'`` takes classes as target (SimMIM, arXiv 2111.09886, table 4).
        eps: Added to the number of masked cells (SimMIM's released code: 1e-5).

    Raises:
        InputError: Unknown criterion.
    """

    def __init__(self, criterion: Criterion = 'L2', eps: float = 0.) -> None:
        super().__init__()
        if criterion not in get_args(Criterion):
            raise InputError(f'the criterion must be one of {", ".join(get_args(Criterion))}, but is {criterion!r}')
        self.criterion = criterion
        self.eps = eps

    @property
    def discrete(self) -> bool:
        """Whether the target holds classes."""
        return self.criterion == 'CrossEntropy'

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare.

        Args:
            prediction: [B, N, C]; for classes [B, N, G * K], the K logits of each of G groups together.
            target: [B, N, C], or integer classes [B, N, G].
            mask: [B, N], True = masked; None compares everything.

        Returns:
            Scalar.

        Raises:
            InputError: The shapes do not go together.
        """
        loss = self._distance(prediction, target).mean(dim=-1)
        return loss.mean() if mask is None else (loss * mask).sum() / (mask.sum() + self.eps)

    def _distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        if prediction.shape[:2] != target.shape[:2] or (
                prediction.shape[2] % target.shape[2] if self.discrete else prediction.shape[2] != target.shape[2]):
            raise InputError(f'a prediction of {list(prediction.shape)} cannot be compared with a target of '
                             f'{list(target.shape)} (batch, cells, values): do in_channels of the target, channels of '
                             'the fill and the images agree?')
        if self.criterion == 'Cosine':
            return 1 - F.cosine_similarity(prediction, target, dim=-1).unsqueeze(-1)
        if not self.discrete:
            return _DISTANCES[self.criterion](prediction, target, reduction='none')
        logits = prediction.unflatten(-1, (target.shape[-1], -1))  # [B, N, G, K]
        return F.cross_entropy(torch.movedim(logits, -1, 1), target, reduction='none')
