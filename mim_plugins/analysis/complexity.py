"""Parameters and operations of a config's model."""
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..errors import InputError
from ..pipelines import pipeline_of


@dataclass(frozen=True)
class Complexity:
    """What a model costs on one image.

    Attributes:
        parameters: Number of parameters, by part and in all under ``'total'``.
        multiply_adds: Multiplications with an addition in the forward, by part and in all: those of convolutions,
            linear layers and attention; norms, activations and the like are not counted.
        size: (H, W) of the image in pixels.
    """
    parameters: dict[str, int]
    multiply_adds: dict[str, int]
    size: tuple[int, int]

    def __str__(self) -> str:
        rows = [f'{"":<22} {"parameters":>14} {"multiply-adds":>16}']
        rows += [f'{part:<22} {number:>14,} {self.multiply_adds.get(part, 0) / 1e9:>14.2f} G'
                 for part, number in self.parameters.items()]
        return '\n'.join([*rows, 'on an image of {} x {} px'.format(*self.size)])


def config_size(cfg: Config) -> tuple[int, int]:
    """Size (H, W) of the training images: the model's, or the last that a step of the pipeline states.

    Raises:
        InputError: The config states none.
    """
    sizes = [cfg.model.get('input_size'), *_stated_sizes(pipeline_of(cfg))]
    found = next((size for size in sizes if size), None)
    if found is None:
        raise InputError('the config states no image size: name one')
    return (found, found) if isinstance(found, int) else tuple(found)


def _stated_sizes(pipeline: list[dict]) -> Iterator[int | tuple[int, int]]:
    for step in reversed(pipeline):
        for key in ('crop_size', 'size', 'scale'):
            size = step.get(key)
            if isinstance(size, int) or size and all(isinstance(side, int) for side in size):
                # mmcv's scales are (width, height), and resizing that keeps the ratio reaches neither.
                yield size if isinstance(size, int) or key != 'scale' else tuple(reversed(size))


def complexity(cfg: Config, size: tuple[int, int] | None = None) -> Complexity:
    """Build a config's model with random weights and run it once on an image of zeros.

    Pre-training models give the features of their encoder, classifiers their scores, detectors boxes and masks of their
    own proposals, segmenters their maps.

    Args:
        cfg: Of mmpretrain, mmdet, mmseg or this package.
        size: (H, W) of the image in pixels; None takes the config's, see :func:`config_size`.

    Raises:
        InputError: The config states no size.
    """
    size = size or config_size(cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    model.train(False)
    channels = len(cfg.model.get('data_preprocessor', {}).get('mean') or [0] * 3)
    images = torch.zeros(1, channels, *size)
    # Attention as matrix products, which are counted.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(images, _samples(cfg.get('default_scope'), size), mode='tensor')
    counts = counter.get_flop_counts()
    parts = {name: sum(part.numel() for part in child.parameters()) for name, child in model.named_children()}
    parts = {name: number for name, number in parts.items() if number}
    flops = {name: sum(operations.values()) for name, operations in counts.items()}
    return Complexity(
        parameters={**parts, 'total': sum(part.numel() for part in model.parameters())}, size=size,
        multiply_adds={**{name: _below(f'{type(model).__name__}.{name}', flops) // 2 for name in parts},
                       'total': counter.get_total_flops() // 2})


def _below(part: str, flops: dict[str, int]) -> int:
    """Operations of a part by those of the outermost modules in it that were called as modules."""
    found = sorted(name for name in flops if name == part or name.startswith(f'{part}.'))
    outermost = [name for name in found if not any(name.startswith(f'{other}.') for other in found)]
    return sum(flops[name] for name in outermost)


def _samples(scope: str | None, size: tuple[int, int]) -> list | None:
    """What tells a detector the size of its image."""
    if scope != 'mmdet':
        return None
    from mmdet.structures import DetDataSample
    shape = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1., 1.))
    return [DetDataSample(metainfo=shape)]
