"""What the transformer blocks of an encoder give, while its forward stays its own."""
from collections.abc import Iterator, Sequence
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


@contextmanager
def outputs_of(blocks: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """A list that fills with what the blocks give, in their order, while an encoder is called."""
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        found.append(output)

    handles = [block.register_forward_hook(keep) for block in blocks]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
