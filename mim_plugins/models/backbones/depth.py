"""Encoders with their last blocks left out in pre-training (FastMIM, arXiv 2212.06593)."""
from collections.abc import Sequence

from ...errors import InputError


def cut_depths(depths: Sequence[int], depth: int | None) -> list[int]:
    """Blocks of each stage when only the first ``depth`` of all are kept; None keeps all.

    Raises:
        InputError: There are not as many blocks, or none would be left.
    """
    total = sum(depths)
    depth = total if depth is None else depth
    if not 1 <= depth <= total:
        raise InputError(f'depth must be between 1 and the {total} blocks of the encoder, but is {depth}')
    kept = []
    for blocks in depths:
        kept.append(min(blocks, depth - sum(kept)))
    return kept


def cut_arch(zoo: dict[str, dict], arch: str | dict, depth: int | None, key: str) -> dict:
    """An encoder's settings with the number(s) of blocks under ``key`` cut to ``depth``.

    Args:
        zoo: Settings by name.
        arch: A name, or the settings themselves.
        depth: Blocks to keep, counted from the first; None keeps all.
        key: Where the settings hold a number of blocks, or one per stage.

    Raises:
        InputError: Unknown name, no such key, or see :func:`cut_depths`.
    """
    if isinstance(arch, str) and arch.lower() not in zoo:
        raise InputError(f'arch must be one of {", ".join(zoo)} or a dict, but is {arch!r}')
    settings = dict(zoo[arch.lower()] if isinstance(arch, str) else arch)
    if key not in settings:
        raise InputError(f'an arch must have {key}, but has only {", ".join(settings)}')
    blocks = settings[key]
    settings[key] = cut_depths([blocks], depth)[0] if isinstance(blocks, int) else cut_depths(blocks, depth)
    return settings
