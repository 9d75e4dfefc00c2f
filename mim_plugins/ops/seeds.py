"""Random numbers that depend on what they are for, not on what was drawn before."""
import numpy as np


def key_seed(*key: int) -> int:
    """A seed in [0, 2 ** 63) for a key of non-negative numbers such as (seed, rank, iteration)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
