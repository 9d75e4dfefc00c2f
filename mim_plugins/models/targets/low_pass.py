from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...ops import check_radius, filter_frequencies, low_pass, radial_frequencies
from ...ops.low_pass import Mode
from ...registry import MODELS
from ..options import filled_in
from .base import MapTarget


@MODELS.register_module()
class LowPassTarget(MapTarget):
    """Another target, made from the low frequencies of the images (PixMIM, arXiv 2303.02416, section 4.1).

    The map is the other target's: by default pixels, [B, in_channels, H, W].

    Args:
        radius: Frequencies to keep, in cycles per image, from 0 to half the diagonal; or the lowest and the highest
            value of a trainable radius, which starts in the middle and has a soft edge (mode ``'paper'``).
        target: Config of what is made from the filtered images, a :class:`PixelTarget` unless its ``type`` is
            stated; per-patch normalisation and HOG come after the filter.
        mode: ``'paper'``, or ``'reference'`` for the released code's values, see
            :func:`mim_plugins.ops.low_pass`.
        high_pass: Keep the other frequencies instead (the control experiment).
        reference_size: Side in pixels of the images that the radius is stated for: at another size it keeps
            the same detail. None counts in cycles per image at any size.
        edge: Width of the soft edge, in the radius's unit: the share that passes falls from 0.73 to 0.27 over two of
            them.
        mean: What the data preprocessor subtracts, one number per channel or one for all; the mode ``'reference'``
            works on intensities.
        std: What it divides by, likewise.
        **layout: ``layout`` and ``stride`` of :class:`MapTarget`.

    Raises:
        InputError: A radius out of range, an unknown mode, a trainable radius together with the mode
            ``'reference'`` or with a target that lets no gradient through, or ``'reference'`` without mean and std.
    """

    def __init__(self, radius: float | tuple[float, float] = 40., target: dict | None = None, mode: Mode = 'paper',
                 high_pass: bool = False, reference_size: int | None = None, edge: float = 1.,
                 mean: Sequence[float] | None = None, std: Sequence[float] | None = None, **layout: Any) -> None:
        config = {'type': 'mim_plugins.PixelTarget', **(target or {})}
        known = {} if mean is None else dict(mean=mean, std=std)
        target = MODELS.build(filled_in(config, MODELS, **known))
        if target.layout != 'map':
            raise InputError(f"the layout of a low-passed target is LowPassTarget's own, but its target says "
                             f'{target.layout!r}')
        super().__init__(target.channels, target.map_stride, **layout)
        self.target = target
        self.mode, self.high_pass, self.reference_size, self.edge = mode, high_pass, reference_size, edge
        self.adaptive = isinstance(radius, (list, tuple))
        self.channels_last, self.discrete = target.channels_last, target.discrete
        self.trainable = self.adaptive or target.trainable
        self.differentiable = target.differentiable and mode == 'paper'
        if self.adaptive:
            self._set_range(radius)
        elif not isinstance(radius, (int, float)) or not radius >= 0:
            raise InputError(f'the radius of a low-pass filter must be a number of at least 0, but is {radius!r}')
        else:
            self._radius = radius
        if (mean is None) != (std is None) or (mode == 'reference' and mean is None):
            raise InputError("the mode 'reference' works on intensities and needs the preprocessor's mean and std, but "
                             f'they are {mean} and {std}')
        for name, values in (('mean', mean), ('std', std)):
            table = None if values is None else torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, table, persistent=False)
        low_pass(torch.zeros(1, 1, 2, 2), 0, mode, high_pass)  # refuses bad options before any data

    def _set_range(self, bounds: Sequence[float]) -> None:
        if len(bounds) != 2 or not 0 <= bounds[0] < bounds[1] or not self.edge > 0:
            raise InputError('a trainable radius wants its lowest and highest value and a soft edge above 0, but got '
                             f'{tuple(bounds)} and {self.edge}')
        if not self.differentiable:
            raise InputError("a trainable radius goes with the mode 'paper' and a target that lets gradients through, "
                             f'but came with {self.mode!r} and {type(self.target).__name__}')
        self._radius = tuple(bounds)
        self.radius_logit = nn.Parameter(torch.zeros(1))

    @property
    def radius(self) -> float | Tensor:
        """The radius, or its current value [1] where it is trainable."""
        if not self.adaptive:
            return self._radius
        low, high = self._radius
        return low + (high - low) * self.radius_logit.sigmoid()

    def watched(self) -> dict[str, Tensor]:
        own = dict(radius=self.radius.detach()) if self.adaptive else {}
        return {**self.target.watched(), **own}

    def check_input_size(self, size: tuple[int, int]) -> None:
        self.target.check_input_size(size)
        for radius in self._radius if self.adaptive else (self._radius, ):
            check_radius(radius, size, self.reference_size)

    def filter(self, images: Tensor) -> Tensor:
        """What the filter leaves of normalised float32 images [B, C, H, W]."""
        if self.mode == 'reference':
            kept = low_pass(images * self.std + self.mean, self.radius, self.mode, reference_size=self.reference_size)
            return (kept - self.mean) / self.std
        if not self.adaptive:
            return low_pass(images, self.radius, self.mode, self.high_pass, self.reference_size)
        distances = radial_frequencies(tuple(images.shape[-2:]), self.reference_size, images.device).float()
        outwards = -1 if self.high_pass else 1
        return filter_frequencies(images, torch.sigmoid(outwards * (self.radius - distances) / self.edge))

    def make(self, images: Tensor) -> Tensor:
        return self.target.make(self.filter(images))

    def to_images(self, values: Tensor, images: Tensor) -> Tensor | None:
        return self.target.to_images(values, self.filter(images.float()))
