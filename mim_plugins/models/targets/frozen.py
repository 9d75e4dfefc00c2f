"""Networks that only make targets: frozen, and no part of what is trained or saved."""
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...checkpoints import check_match, load_weights
from ...errors import InputError
from ...registry import MODELS
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
        config: Of the network.
        checkpoint: Local file with its weights, as they are or behind the prefix ``backbone.``; further tensors in
            it are ignored.
        random_weights: Go without weights, for tests and dry runs; they are the same in every run.
        what: What the network is, for the message.

    Raises:
        InputError: Neither or both of weights and ``random_weights``, or weights that do not fit.
    """
    if (checkpoint is None) != random_weights:
        raise InputError(f'a {what} needs either a checkpoint, a local file with its weights, or random_weights=True, '
                         f'but got checkpoint={checkpoint} and random_weights={random_weights}')
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = MODELS.build(config)
    if checkpoint is not None:
        _load(network, checkpoint)
    network.requires_grad_(False).train(False)
    return network


def _load(network: nn.Module, path: str | Path) -> None:
    stored = load_weights(path)
    if not any(name in stored for name, _ in network.named_parameters()):
        stored = {name.removeprefix('backbone.'): tensor for name, tensor in stored.items()}
    # Buffers only count what training saw; files may come without them.
    weights = {name: stored.get(name, tensor) for name, tensor in network.named_buffers()}
    weights |= {name: stored[name] for name, _ in network.named_parameters() if name in stored}
    check_match(network, weights, str(path))
    network.load_state_dict(weights)
