"""mmengine's samplers, whose indices carry the randomness and the size of their samples."""
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler

from mim_plugins.errors import InputError
from mim_plugins.registry import DATA_SAMPLERS

from .keyed import SampleKey


@DATA_SAMPLERS.register_module()
class KeyedSampler(DefaultSampler):
    """mmengine's sampler for epochs, in its order; keys hold (seed, epoch) and the current size.

    Arguments are mmengine's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._size: tuple[int, int] | None = None

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Ask for samples of (H, W) pixels from the next epoch on."""
        self._size = tuple(size)

    def __iter__(self) -> Iterator[SampleKey]:
        seed, size = (self.seed, self.epoch), self._size  # what is set during an epoch counts from the next one
        for index in super().__iter__():
            yield SampleKey(index, seed, size)


@DATA_SAMPLERS.register_module()
class KeyedInfiniteSampler(InfiniteSampler):
    """mmengine's endless sampler, in its order; keys hold (seed, rank, position).

    Arguments are mmengine's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._position = 0
        self._schedule: list[tuple[int, tuple[int, int]]] = []

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Ask for samples of (H, W) pixels; to be called before anything is drawn."""
        self.set_size_schedule([(0, size)])

    def set_size_schedule(self, schedule: Sequence[tuple[int, tuple[int, int]]]) -> None:
        """Ask for other sizes from certain samples on; to be called before anything is drawn.

        Workers draw ahead, so a sample's size depends on its place alone.

        Args:
            schedule: Pairs of a position, counted in this process's samples from the start of the training,
                and the (H, W) from there on; positions rise.

        Raises:
            InputError: The positions do not rise, or samples were drawn or skipped before.
        """
        positions = [position for position, _ in schedule]
        if positions != sorted(set(positions)):
            raise InputError(f'the positions of a schedule of sizes must rise, but are {positions}')
        if self._position:
            raise InputError('sizes must be set before the first sample is drawn or skipped, but '
                             f'{self._position} have been')
        self._schedule = [(position, tuple(size)) for position, size in schedule]

    def skip(self, num_samples: int) -> None:
        super().skip(num_samples)
        self._position = num_samples

    def _size(self) -> tuple[int, int] | None:
        begun = [size for position, size in self._schedule if position <= self._position]
        return begun[-1] if begun else None

    def __iter__(self) -> Iterator[SampleKey]:
        for index in super().__iter__():
            key = SampleKey(index, (self.seed, self.rank, self._position), self._size())
            self._position += 1  # before the yield: a drawn sample counts at once
            yield key
