"""Norms with statistics of their own for each of two images in a map (MixMIM, arXiv 2205.13137, ConvNets)."""
import torch
from timm import layers as timm_layers
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .place_groups import PlaceGroups


def normalize_groups(maps: Tensor, partner: Tensor, dims: tuple[int, ...], eps: float, weight: Tensor | float,
                     bias: Tensor | float) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Normalise the places of each group by their own mean and biased variance, which are 0 where there are no places.

    Args:
        maps: [..., H, W].
        partner: Bool, True = the partner's; its sides are 1 or those of the maps.
        dims: Those that the statistics are taken over.
        eps: Added to the variances.
        weight: What normalised maps are multiplied by.
        bias: What is added to them.

    Returns:
        The same shape; means and variances, of the own places and of the partner's.
    """
    shares = [side.to(maps.dtype) for side in (~partner, partner)]

    def each_mean(values: Tensor) -> list[Tensor]:
        return [(values * share).mean(dims, keepdim=True) / share.mean(dims, keepdim=True).clamp(min=1 / maps.numel())
                for share in shares]

    means = each_mean(maps)
    centred = maps - torch.where(partner, means[1], means[0])
    variances = each_mean(centred.square())
    # A factor for each place would be kept for the backward; so, the centred maps alone are.
    own, partners = (centred * ((variance + eps).rsqrt() * weight) + bias for variance in variances)
    return torch.where(partner, partners, own), means, variances


class _MixedNorm:
    """A norm with statistics of its own for each group, and the parent's parameters and buffers."""
    places: PlaceGroups

    def forward(self, x: Tensor) -> Tensor:
        fixed = not self.training and getattr(self, 'running_mean', None) is not None
        if fixed or self.places.units is None:
            return super().forward(x)
        maps = x.to(torch.promote_types(x.dtype, torch.float32))  # half precision is too coarse for sums
        normalized = self.mixed(maps, self.places.at(tuple(x.shape[-2:]))).to(x.dtype)
        for part in self.children():  # timm's dropout and activation
            normalized = part(normalized)
        return normalized

    def affine_at(self, *shape: int) -> tuple[Tensor | float, Tensor | float]:
        """Weight and bias in a shape that fits the maps."""
        return (1., 0.) if self.weight is None else (self.weight.view(shape), self.bias.view(shape))


class MixedGroupNorm(_MixedNorm, nn.GroupNorm):
    """GroupNorm with statistics for each sample and group of places."""

    def mixed(self, maps: Tensor, partner: Tensor) -> Tensor:
        normalized, _, _ = normalize_groups(
            maps.unflatten(1, (self.num_groups, -1)), partner.unsqueeze(1), (2, 3, 4), self.eps,
            *self.affine_at(1, self.num_groups, -1, 1, 1))
        return normalized.flatten(1, 2)


# mmengine's initialisation by layer looks at direct bases only, and configs name _BatchNorm.
class MixedBatchNorm(_MixedNorm, nn.BatchNorm2d, _BatchNorm):
    """BatchNorm with statistics for each group of places in training, and the running ones in evaluation.

    The running statistics are updated once a call, by the mean of the two groups' means and of their unbiased
    variances; a group without places has no say.
    """

    def mixed(self, maps: Tensor, partner: Tensor) -> Tensor:
        normalized, means, variances = normalize_groups(
            maps, partner, (0, 2, 3), self.eps, *self.affine_at(1, -1, 1, 1))
        if self.training and self.track_running_stats:
            number = torch.stack([(~partner).sum(), partner.sum()])[:, None]
            self._track(torch.stack(means).flatten(1), torch.stack(variances).flatten(1), number)
        return normalized

    @torch.no_grad()
    def _track(self, means: Tensor, variances: Tensor, number: Tensor) -> None:
        """Update the running statistics by those [2, C] of groups of [2, 1] places."""
        unbiased = variances * number / (number - 1).clamp(min=1)
        self.num_batches_tracked += 1
        step = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked
        for running, each in ((self.running_mean, means), (self.running_var, unbiased)):
            running += step * ((each * (number > 0)).sum(0) / (number > 0).sum() - running)


class MixedGroupNormAct(MixedGroupNorm, timm_layers.GroupNormAct):
    """timm's, as :class:`MixedGroupNorm`."""


class MixedBatchNormAct(MixedBatchNorm, timm_layers.BatchNormAct2d):
    """timm's, as :class:`MixedBatchNorm`."""


NORMS = {nn.GroupNorm: MixedGroupNorm, timm_layers.GroupNormAct: MixedGroupNormAct,
          nn.BatchNorm2d: MixedBatchNorm, timm_layers.BatchNormAct2d: MixedBatchNormAct}
