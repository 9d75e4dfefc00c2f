"""Indices that carry the randomness and the size of their sample.

Loader workers seed themselves anew at each start, so a resumed run would draw other crops; and when the
size changes they may still hold batches of the old one. Here both travel with the index instead.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ALL_DATASETS
from torch.utils.data import Dataset

from mim_plugins.errors import InputError
from mim_plugins.ops.seeds import key_seed
from mim_plugins.registry import DATASETS


class SampleKey(int):
    """An index into a data set.

    Attributes:
        seed: What the sample's randomness depends on beside the index, such as (seed, epoch).
        size: (H, W) in pixels that the sample shall have, or None for the pipeline's own.
    """

    def __new__(cls, index: int, seed: tuple[int, ...], size: tuple[int, int] | None = None) -> SampleKey:
        key = super().__new__(cls, index)
        key.seed = seed
        key.size = size
        return key

    def __getnewargs__(self) -> tuple:
        return int(self), self.seed, self.size


# What stands in for numpy's generator inside of a seeded context: to copy its state would take fifty times as long.
_SPARE = np.random.MT19937(0)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's, numpy's and torch's random numbers, and put back their states afterwards."""
    states = random.getstate(), np.random.get_bit_generator(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.set_bit_generator(np.random.MT19937(0) if states[1] is _SPARE else _SPARE)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_bit_generator(states[1])
        torch.random.set_rng_state(states[2])


def seeded(index: int) -> AbstractContextManager[None]:
    """A context in which a sample's randomness depends on its key alone; nothing for a plain index."""
    return _seeded(key_seed(*index.seed, index)) if isinstance(index, SampleKey) else nullcontext()


def with_size(info: dict, index: int) -> dict:
    """A sample's info with the ``input_size`` (H, W) that its key asks for."""
    size = getattr(index, 'size', None)
    return {**info, 'input_size': size} if size else info


@DATASETS.register_module()
class KeyedDataset(Dataset):
    """Any data set of mmengine, sampled by the keys of :class:`~mim_plugins.datasets.KeyedSampler`.

    :class:`~mim_plugins.datasets.UnlabelledImages` understands keys by itself.

    Args:
        dataset: Config of the data set; its pipeline's transforms see the size as ``input_size``.

    Raises:
        InputError: The data set is not one of mmengine's; from an access, nothing comes out of the pipeline.
    """

    def __init__(self, dataset: dict) -> None:
        self.dataset = ALL_DATASETS.build(dataset)
        if not isinstance(self.dataset, BaseDataset):
            raise InputError(f"KeyedDataset needs one of mmengine's data sets, but got {type(self.dataset).__name__}")

    @property
    def metainfo(self) -> dict:
        """Meta information of the data set inside."""
        return self.dataset.metainfo

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        self.dataset.full_init()
        place = int(index)
        with seeded(index):
            for _ in range(self.dataset.max_refetch + 1):
                sample = self.dataset.pipeline(with_size(self.dataset.get_data_info(place), index))
                if sample is not None:
                    return sample
                place = int(np.random.randint(len(self)))  # as mmengine does, but the same in every run
        raise InputError(f'the pipeline gave nothing for sample {int(index)} and {self.dataset.max_refetch} others')
