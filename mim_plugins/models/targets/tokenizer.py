"""Visual tokens of a frozen tokenizer (BEiT, arXiv 2106.08254; BEiT v2, arXiv 2208.06366).

The tokenizers are mmpretrain's. Two things differ around them: VQKD's parts are called one by one, because
its own ``encode`` takes every grid for a square and gathers statistics of the codes over all processes; and
the small picture for the tokenizer is averaged from the image instead of resized from the file once more.
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from mmpretrain.models.selfsup import VQKD
from mmpretrain.models.selfsup.cae import DALLEEncoder
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from .base import ClassTarget
from .frozen import FrozenNetworkTarget, frozen_network


class _DALLEReader:
    """Tokens of DALL-E's encoder, trained on intensities mapped to 0.1..0.9; on CUDA it works in float16."""
    mean, std, stride = -31.875, 318.75, 8

    def __init__(self, module: DALLEEncoder) -> None:
        self.module = module
        self.classes = len(module.blocks.output.conv.w)
        self.in_channels = module.input_channels

    def tokens(self, images: Tensor) -> Tensor:
        return self.module(images).argmax(1)


class _VQKDReader:
    """Tokens of VQKD, which was trained on intensities mapped to -1..1."""
    mean, std = 127.5, 127.5

    def __init__(self, module: VQKD) -> None:
        encoder = module.encoder
        if encoder.pos_embed is None or encoder.use_rel_pos_bias or encoder.rel_pos_bias is not None:
            raise InputError("VQKD's encoder must have absolute positions only (use_abs_pos_emb=True), which fit any "
                             'size, but its config asks for relative ones or none')
        if encoder.out_type != 'featmap':
            raise InputError(f"VQKD's encoder must give out_type='featmap', but gives {encoder.out_type!r}")
        projection = encoder.patch_embed.projection
        self.module = module
        self.classes = module.quantize.num_tokens
        self.in_channels = projection.in_channels
        self.stride = projection.stride[0]

    def tokens(self, images: Tensor) -> Tensor:
        features = self.module.encoder(images)[0].movedim(1, -1)
        features = F.normalize(self.module.encode_task_layer(features), dim=-1)
        codes = self.module.quantize.embedding.weight
        # Of |f - c|^2 the part |f|^2 is the same for all codes.
        return (features @ codes.T - codes.square().sum(1) / 2).argmax(-1)


_READERS = {DALLEEncoder: _DALLEReader, VQKD: _VQKDReader}


@MODELS.register_module()
class TokenizerTarget(FrozenNetworkTarget, ClassTarget):
    """The class that a frozen tokenizer gives each cell (SimMIM, arXiv 2111.09886, section 3.4).

    Map [B, 1, H / map_stride, W / map_stride] with map_stride = downsample * the tokenizer's stride (8 for
    DALL-E, the patch for VQKD). BEiT's one token per 16 px is DALL-E with ``downsample=2``.

    The tokenizer is no submodule, see :class:`FrozenNetworkTarget`.

    Args:
        tokenizer: Config of ``mmpretrain.DALL-E`` or ``mmpretrain.VQKD``; it tells the channels of the images.
        mean: What the data preprocessor subtracts, one number per channel or one for all.
        std: What it divides by, likewise; the tokenizer gets the intensities on its own scale.
        checkpoint: Local file with the tokenizer's weights; further tensors in it are ignored.
        random_weights: Go without weights, for tests and dry runs; they are the same in every run.
        **options: ``downsample``, ``layout`` and ``stride`` of :class:`ClassTarget`.

    Raises:
        InputError: Another tokenizer, no weights, or weights that do not fit.
    """

    def __init__(self, tokenizer: dict, mean: Sequence[float], std: Sequence[float],
                 checkpoint: str | Path | None = None, random_weights: bool = False, **options: Any) -> None:
        module = frozen_network(tokenizer, checkpoint, random_weights, 'tokenizer')
        reader = next((_READERS[known] for known in _READERS if isinstance(module, known)), None)
        if reader is None:
            raise InputError('a tokenizer must be mmpretrain.DALL-E or mmpretrain.VQKD, but is '
                             f'{type(module).__name__}')
        reader = reader(module)
        super().__init__(reader.classes, mean, std, reader.in_channels, cell=reader.stride, **options)
        self.hold(module)
        self._reader = reader

    def make(self, images: Tensor) -> Tensor:
        images = (self.intensities(images) - self._reader.mean) / self._reader.std
        return self._reader.tokens(images)[:, None]
