"""Networks that only make targets: frozen, and no part of what is trained or saved."""
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...checkpoints import check_match, read_file
from ...errors import InputError
from ...registry import MODELS
from ...transfer import best_reading
from ..position_tables import SinCosTable
from .base import MapTarget


class FrozenNetworkTarget(MapTarget):
    """A target made by a network that is no submodule.

    It follows the target from device to device, but is left out of checkpoints, optimizers, DDP and ``train()``. A
    resumed run reads its weights again. For subclasses, which call :meth:`hold`.
    """

    def hold(self, network: nn.Module) -> None:
        """Keep a network beside the submodules."""
        self._held = (network, )

    @property
    def network(self) -> nn.Module:
        """The frozen network."""
        return self._held[0]

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        self.network._apply(*args, **kwargs)
        return super()._apply(*args, **kwargs)


def frozen_network(config: dict, checkpoint: str | Path | None, random_weights: bool, what: str) -> nn.Module:
    """Build a network in eval mode, without gradients.

    Args:
        config: Of the network; one of timm may say ``pretrained=True`` where its weights are at hand.
        checkpoint: Local file with its weights. They may lie below the usual keys and prefixes (``state_dict``,
            ``model``, ``teacher``; ``backbone.``, ``module.``), for mmpretrain's ViT also under timm's names, as in the
            released MAE, DINO, iBOT and MoCo v3; for :class:`TIMMEncoder` under timm's. Further tensors are ignored.
        random_weights: Go without weights, for tests and dry runs; they are the same in every run.
        what: What the network is, for the message.

    Raises:
        InputError: Not exactly one source of weights, or weights that do not fit.
    """
    sources = (checkpoint is not None) + bool(random_weights) + bool(config.get('pretrained'))
    if sources != 1:
        raise InputError(f'a {what} needs either a checkpoint, a local file with its weights, or random_weights=True, '
                         f'but got checkpoint={checkpoint} and random_weights={random_weights}'
                         + (', and pretrained=True' if config.get('pretrained') else ''))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = MODELS.build(config)
    if checkpoint is not None:
        _load(network, checkpoint)
    network.requires_grad_(False).train(False)
    return network


def _load(network: nn.Module, path: str | Path) -> None:
    own, learned = network.state_dict(), {name for name, _ in network.named_parameters()}
    found = best_reading(read_file(path), learned).weights
    # Buffers only count what training saw; files may come without them.
    weights = {name: found.get(name, tensor) for name, tensor in own.items() if name in found or name not in learned}
    # A fixed table is made for any grid; of the stored one only the order of its channels is taken.
    table = {network.table_name: own[network.table_name]} if isinstance(network, SinCosTable) else {}
    check_match(network, {**weights, **table}, str(path))
    network.load_state_dict(weights)
