"""What the transformer blocks of an encoder give, while its forward stays its own."""
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mmpretrain.models import BEiTViT, VisionTransformer
from torch import Tensor, nn

from .convmae import ConvMAEEncoder


def transformer_blocks(encoder: nn.Module) -> nn.ModuleList | nn.Sequential | None:
    """Blocks of an encoder that give tokens [B, extra + N, C] one after the other; None for other encoders.

    Those of mmpretrain's and timm's plain ViTs, and of the last stage of :class:`ConvMAEEncoder`.
    """
    if isinstance(encoder, (VisionTransformer, BEiTViT)):
        return encoder.layers
    if isinstance(encoder, ConvMAEEncoder):
        return encoder.blocks3
    model = getattr(encoder, 'timm_model', None)
    return getattr(model, 'blocks', None) if hasattr(model, 'patch_drop') else None


class BlockOutputs:
    """What some blocks give, on demand.

    The hooks stay on the blocks and do nothing without demand: a compiled encoder would not notice hooks that come and
    go.

    Args:
        blocks: Those to look at.
    """

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        self._found: list[Tensor] | None = None
        for block in blocks:
            block.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if self._found is not None:
            self._found.append(output)

    @contextmanager
    def kept(self) -> Iterator[list[Tensor]]:
        """A list that fills with what the blocks give, in their order, while an encoder is called."""
        self._found = found = []
        try:
            yield found
        finally:
            self._found = None
