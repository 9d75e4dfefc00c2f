"""How weights start."""
from collections.abc import Callable

from torch import Tensor, nn


def truncated(weight: Tensor) -> Tensor:
    """Truncated normal of standard deviation .02, in place."""
    return nn.init.trunc_normal_(weight, std=.02)


def init_linear(module: nn.Module, weight_init: Callable[[Tensor], Tensor]) -> None:
    """Start all linear layers inside a module with ``weight_init`` and biases of 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            weight_init(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def is_pretrained(init_cfg: dict | list | None) -> bool:
    """Whether mmengine's ``init_cfg`` brings all weights, so that nothing may be drawn anew."""
    return isinstance(init_cfg, dict) and init_cfg['type'] == 'Pretrained'
