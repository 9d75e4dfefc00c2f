"""Colours: which of a palette is nearest, and what a patch looked like before it was normalised."""
import torch
from torch import Tensor

from .patches import patchify, unpatchify

# Distances held at once: on a CPU as many as stay in the cache, on a GPU 64 MiB of them per channel.
_CPU_PIECE, _GPU_PIECE = 2**18, 2**24


def nearest_colors(images: Tensor, centers: Tensor) -> Tensor:
    """Number of the nearest colour of a palette, by Euclidean distance.

    Differences are taken one by one, not by a matrix product, whose rounding (or TF32) moves pixels to
    another colour. Memory does not grow with the number of pixels times colours.

    Args:
        images: Float [B, C, H, W].
        centers: Float [K, C] in the same units.

    Returns:
        Int64 [B, H, W] in 0..K-1; the lowest number if several are equally near.
    """
    pixels = images.transpose(0, 1).flatten(1)  # [C, B * H * W]
    piece = max(1, (_CPU_PIECE if images.device.type == 'cpu' else _GPU_PIECE) // len(centers))
    palette = centers.T[:, None]
    nearest = [(part[..., None] - palette).square_().sum(0).argmin(-1) for part in pixels.split(piece, dim=1)]
    return torch.cat(nearest).view(len(images), *images.shape[-2:])


def restore_patches(values: Tensor, images: Tensor, patch: int, eps: float = 1e-6) -> Tensor:
    """Undo :func:`mim_plugins.ops.normalize_patches` with the statistics of given images.

    Args:
        values: Normalised patches [B, C, H, W], for example a prediction.
        images: [B, C, H, W] whose patches have the mean and variance to return to.
        patch: Side of a patch; divides H and W.
        eps: As in the normalisation.

    Returns:
        [B, C, H, W].
    """
    tokens, height, width = patchify(images, patch), *images.shape[-2:]
    scale = (tokens.var(-1, keepdim=True) + eps).sqrt()
    tokens = patchify(values, patch) * scale + tokens.mean(-1, keepdim=True)
    return unpatchify(tokens, (height // patch, width // patch), patch)
