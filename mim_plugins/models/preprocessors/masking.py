"""Normalisation and masking in one step on the training device."""
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmpretrain.models import SelfSupDataPreprocessor
from torch import Tensor

from ...errors import InputError
from ...ops import resize_mask
from ...ops.jpeg_crops import EncodedCrop, decode_crops
from ...ops.seeds import key_seed
from ...registry import MODELS, TASK_UTILS


@MODELS.register_module()
class MaskingDataPreprocessor(SelfSupDataPreprocessor):
    """Normalises the images and draws a mask for each on the device, from the current input size.

    The masks depend on (seed, rank, iteration) only: they differ in every iteration and on every rank,
    and a resumed run draws what it would have drawn without the stop. Seed and iteration are the
    runner's (``randomness.diff_rank_seed`` must stay off for that: mmengine resumes all ranks with the
    first one's seed); without a runner the seed is 0 and the calls are counted.

    Args:
        mask: Config of a mask strategy such as :class:`RandomMasks`.
        sample_mask_stride: If given, the masks are not handed on as one tensor ``mask`` but written to
            each ``data_sample.mask`` on the grid of this stride in pixels, as mmpretrain's algorithms
            want them (SimMIM: 4, MaskFeat: the patch size).
        mean: Subtracted from each channel, one number per channel or one for all; None leaves images as they are.
        std: What the channels are divided by then, likewise.
        **options: Further ones of mmpretrain's ``SelfSupDataPreprocessor`` (to_rgb, ...).

    Raises:
        InputError: The stride of the sample masks does not divide the mask unit, or mean and std are not as many.
    """

    def __init__(self, mask: dict, sample_mask_stride: int | None = None, mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(**{'non_blocking': True, **options})
        # mmpretrain's own way would send a list of indices to the device in every step.
        self.swaps_channels, self._channel_conversion = self._channel_conversion, False
        self._set_normalization(mean, std)
        self.mask_strategy = TASK_UTILS.build({'type': 'mim_plugins.RandomMasks', **mask})
        if sample_mask_stride and self.mask_strategy.unit % sample_mask_stride:
            raise InputError(f'mask units of {self.mask_strategy.unit} px cannot be laid on a grid of '
                             f'sample_mask_stride={sample_mask_stride} px')
        self.sample_mask_stride = sample_mask_stride
        self._last_iteration = {True: -1, False: -1}
        self._calls = {True: 0, False: 0}

    def _set_normalization(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
        # mmengine's own allows one or three channels only.
        if (mean is None) != (std is None) or (mean is not None and len(mean) != len(std)):
            raise InputError(f'mean and std need as many numbers each, but are {mean} and {std}')
        if mean is not None:
            self._enable_normalize = True
            for name, values in (('mean', mean), ('std', std)):
                self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def _generator(self, device: torch.device, training: bool) -> torch.Generator:
        info = MessageHub.get_current_instance().runtime_info
        iteration = info.get('iter', 0)
        # Several batches may come within one iteration, as in validation.
        self._calls[training] = self._calls[training] + 1 if iteration == self._last_iteration[training] else 0
        self._last_iteration[training] = iteration
        seed = key_seed(info.get('seed') or 0, get_rank(), iteration, self._calls[training], int(training))
        return torch.Generator(device).manual_seed(seed)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise and mask a collated batch.

        Args:
            data: ``inputs`` uint8 or float [B, C, H, W], or an :class:`~mim_plugins.ops.jpeg_crops.EncodedBatch` to be
                decoded on the device, and ``data_samples``; maybe ``target_inputs``, a dict of
                tensors that the target is made of, of which ``middle`` images are normalised as well.
            training: Masks of training and evaluation come from different streams.

        Returns:
            ``inputs`` float32 [B, C, H, W], ``data_samples``, and ``mask`` bool [B, H / unit, W / unit]
            with True = masked unless ``sample_mask_stride`` is set; ``target_inputs`` if they came.

        Raises:
            InputError: Images that are not stacked or have another number of channels than mean, std or ``to_rgb`` ask
                for, or ``target_inputs`` for mmpretrain's algorithms, which have no place for them.
        """
        self._check_channels(data['inputs'][0].shape)
        batch = self.normalized(data)
        inputs = batch['inputs']
        size = tuple(inputs.shape[-2:])
        generator = self._generator(inputs.device, training)
        batch.update(self.corrupt(inputs, self.mask_strategy(len(inputs), size, generator, inputs.device), generator))
        return batch if self.sample_mask_stride is None else self._for_samples(batch)

    def normalized(self, data: dict) -> dict:
        """A collated batch on the device, normalised; nothing is masked."""
        batch = self._normalized(data['inputs'], data['data_samples'])
        given = self.cast_data(data.get('target_inputs') or {})
        if not given:
            return batch
        if self.sample_mask_stride is not None:
            raise InputError('the pipeline hands on stored features or middle images, which only algorithms of '
                             'mim_plugins take: leave LoadOfflineTarget and keep_middle out, or sample_mask_stride')
        if not all(isinstance(part, Tensor) for part in given.values()):
            raise InputError("stored features and middle images come stacked: the loader needs collate_fn=dict("
                             "type='default_collate')")
        if 'middle' in given:
            given = {**given, 'middle': self._normalized(given['middle'], [])['inputs']}
        return {**batch, 'target_inputs': given}

    def _normalized(self, images: Tensor | Sequence[EncodedCrop], samples: list) -> dict:
        if isinstance(images[0], EncodedCrop):
            images = decode_crops(images, self.device)
        if not isinstance(images, Tensor):
            raise InputError(f'images must come stacked, but are a {type(images).__name__} of {len(images)}: the '
                             "loader needs collate_fn=dict(type='default_collate')")
        images = self.cast_data(images)
        images = images.flip(1) if self.swaps_channels else images
        if self.sample_mask_stride:
            return super().forward(dict(inputs=images, data_samples=samples))
        # This package's algorithms do not look at samples; to copy 256 of them takes as long as some steps on a GPU.
        return {**super().forward(dict(inputs=images, data_samples=[])), 'data_samples': samples}

    def _check_channels(self, shape: torch.Size) -> None:
        if len(shape) != 3:
            raise InputError(f'each image must be [C, H, W], but one is {list(shape)}: several views of an image '
                             'are not masked')
        channels = shape[0]
        if self.swaps_channels and channels != 3:
            raise InputError(f'to_rgb=True swaps the first of three channels with the last, but the images have '
                             f'{channels}')
        if self._enable_normalize and self.mean.numel() not in (1, channels):
            raise InputError(f'mean and std have {self.mean.numel()} numbers, but the images have {channels} channels')

    def corrupt(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What goes on to the algorithm for normalised images [B, C, H, W] and their mask [B, h, w]."""
        return dict(inputs=images, mask=mask)

    def _for_samples(self, batch: dict) -> dict:
        """The two keys that mmpretrain's algorithms take, of what else is in the batch."""
        grid = tuple(side // self.sample_mask_stride for side in batch['inputs'].shape[-2:])
        for sample, mask in zip(batch['data_samples'], resize_mask(batch['mask'], grid), strict=True):
            sample.set_mask(mask)
        return {name: batch[name] for name in ('inputs', 'data_samples')}
