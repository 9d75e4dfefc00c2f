"""Frozen features of an encoder."""
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ..models import MaskedImageModel
from .runs import normalized, undisturbed


def pool(features: Tensor | tuple[Tensor, ...], num_extra_tokens: int = 0) -> Tensor:
    """Average over the image.

    Args:
        features: An encoder's output or stages, of which the last is read: a map [B, C, h, w] or tokens
            [B, num_extra_tokens + N, C].
        num_extra_tokens: Leading tokens that are left out (cls: 1).

    Returns:
        [B, C].
    """
    last = features if isinstance(features, Tensor) else features[-1]
    return last.mean(dim=(2, 3)) if last.ndim == 4 else last[:, num_extra_tokens:].mean(dim=1)


def extract_features(model: MaskedImageModel, loader: Iterable[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features of the unmasked images of a labelled loader.

    Args:
        model: Its mode and torch's random state are restored afterwards.
        loader: Gives mmpretrain's collated batches with a ``gt_label`` in each data sample.

    Returns:
        Features float32 [N, C] and labels int64 [N].
    """
    features, labels = [], []
    with undisturbed(model):  # the loader's iterator draws a random number, too
        for batch in loader:
            pooled = pool(model(normalized(model, batch), mode='tensor'), model.neck.num_extra_tokens)
            features.append(pooled.float().cpu())
            labels += [int(sample.gt_label) for sample in batch['data_samples']]
    return torch.cat(features).numpy(), np.array(labels)
