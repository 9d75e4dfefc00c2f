"""Handing on JPEGs undecoded, for a decoder on the device."""
from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import pseudo_collate
from mmpretrain.datasets import PackInputs

from mim_plugins.errors import InputError
from mim_plugins.ops.jpeg_crops import EncodedBatch, EncodedCrop
from mim_plugins.registry import FUNCTIONS, TRANSFORMS

from .flip import RandomFlip
from .load_and_crop import build_planned_crop, open_picture
from .loading import LoadRGBImage


@TRANSFORMS.register_module()
class PackEncodedCrop(BaseTransform):
    """The whole pipeline of a training whose data preprocessor decodes: load, crop, flip and pack.

    ``inputs`` is an :class:`~mim_plugins.ops.jpeg_crops.EncodedCrop`: of an ordinary JPEG its bytes, the crop's place
    and the flip, drawn with the numbers that :class:`LoadAndCrop` and ``RandomFlip`` draw; of any other file the
    finished crop. The loader needs ``collate_fn=dict(type='mim_plugins.collate_encoded')``. A JPEG that is damaged
    behind its header stops the training, for the device decodes whole batches.

    Args:
        crop: As of :class:`LoadAndCrop`.
        flip_prob: Probability of mirroring the crop.
        backend_args: As in mmcv, for storage other than local files.

    Raises:
        InputError: A probability out of range, or a crop that :class:`LoadAndCrop` refuses.
        ImageDecodeError: From the transform, as :class:`LoadRGBImage`.
    """

    def __init__(self, crop: dict, flip_prob: float = 0.5, backend_args: dict | None = None) -> None:
        if not isinstance(flip_prob, int | float) or not 0 <= flip_prob <= 1:
            raise InputError(f'a probability lies in [0, 1], but flip_prob is {flip_prob!r}')
        self.loader = LoadRGBImage(backend_args=backend_args)
        self.crop = build_planned_crop(crop)
        self.flip = RandomFlip(prob=flip_prob)
        self.pack = PackInputs()

    def transform(self, results: dict) -> dict:
        content, header, image = open_picture(self.loader, results)
        if header is None:
            return self._finished(self.flip(self.crop(self.loader.loaded(results, image, content))))
        plan = self.crop.plan(header.size, results)
        drawn = self.flip(dict(img=np.zeros((1, 1, 3), np.uint8)))
        meta = {name: drawn[name] for name in ('flip', 'flip_direction')}
        results = {**results, **meta, 'crop_box': plan.crop_box, 'img_shape': (*plan.scale, 3),
                   'ori_shape': header.size}
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return {**self.pack(results), 'inputs': EncodedCrop(
            encoded, **plan._asdict(), flip=drawn['flip'], interpolation=self.crop.interpolation)}

    def _finished(self, results: dict) -> dict:
        packed = self.pack(results)
        return {**packed, 'inputs': EncodedCrop(packed['inputs'])}


@FUNCTIONS.register_module()
def collate_encoded(samples: list[dict]) -> dict:
    """Samples of :class:`PackEncodedCrop` as a batch whose ``inputs`` are one
    :class:`~mim_plugins.ops.jpeg_crops.EncodedBatch`.

    Raises:
        InputError: They are of another pipeline.
    """
    batch = pseudo_collate(samples)
    if not isinstance(batch['inputs'][0], EncodedCrop):
        raise InputError('collate_encoded goes with a pipeline of mim_plugins.PackEncodedCrop alone, but a sample has '
                         f'inputs of {type(batch["inputs"][0]).__name__}')
    return {**batch, 'inputs': EncodedBatch(batch['inputs'])}
