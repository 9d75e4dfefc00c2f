"""One demo picture: digits laid over a crop of a photograph."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .options import DemoOptions
from .sources import Sources

MIN_VISIBLE = 0.6  # share of a digit that later digits leave uncovered
PLACE_TRIALS = 20
COLOUR_TRIALS = 16
MIN_LUMA_STEP = 64  # between a digit and the mean of the picture behind it, of 255
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Picture:
    """A composed picture.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        digits: Classes 0..9, in the order in which they were laid.
        masks: bool [N, H, W], the visible part of each digit; they do not overlap.
    """

    image: np.ndarray
    digits: tuple[int, ...]
    masks: np.ndarray


def compose(
    rng: np.random.Generator,
    sources: Sources,
    options: DemoOptions,
    digits: tuple[int, ...] | None = None,
) -> Picture:
    """Draw a picture.

    Args:
        digits: The classes to show; drawn at random where not given. A drawn digit that finds no
            free place is left out, the first never is.
    """
    low, high = options.size
    width, height = (int(side) for side in rng.integers(low, high + 1, 2))
    image = _background(rng, sources, width, height, options.contrast)
    if digits is None:
        digits = tuple(int(d) for d in rng.integers(0, 10, rng.integers(1, options.max_digits + 1)))
    scale = min(width, height) / len(digits)**0.5

    shown: list[int] = []
    full: list[np.ndarray] = []
    for digit in digits:
        alpha = _glyph(rng, sources.glyphs[digit], scale * rng.uniform(*options.digit_size))
        placed = _place(rng, alpha[:height, :width], height, width, full)
        if placed is None:
            continue
        image = _paint(rng, image, placed)
        full.append(placed > 0.5)
        shown.append(digit)
    return Picture(
        np.clip(image + 0.5, 0, 255).astype(np.uint8), tuple(shown), np.stack(visible_parts(full)))


def _background(
        rng: np.random.Generator, sources: Sources, width: int, height: int,
        contrast: float) -> np.ndarray:
    """Float [H, W, 3] in 0..255: a crop, shrunk up to four times, pulled towards mid-grey."""
    photo = sources.photographs[rng.integers(len(sources.photographs))]
    factor = min(rng.uniform(1, 4), photo.width / width, photo.height / height)
    crop = np.minimum((width * factor, height * factor), photo.size)
    left, top = rng.uniform(0, 1, 2) * (photo.size - crop)
    box = (left, top, *np.minimum((left, top) + crop, photo.size))
    resized = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(resized, np.float32)
    if rng.integers(2):
        pixels = pixels[:, ::-1]
    return 128 + np.float32(contrast) * (pixels - 128)


def _glyph(rng: np.random.Generator, glyphs: np.ndarray, height: float) -> np.ndarray:
    """Coverage [h, w] in 0..1 of a random glyph, cut to the box where it exceeds one half."""
    ink = glyphs[rng.integers(len(glyphs))]
    side = max(8, round(height * 10 / 8))
    alpha = np.asarray(Image.fromarray(ink).resize((side, side), Image.Resampling.BICUBIC))
    alpha = np.clip(alpha * 1.5 - 0.25, 0, 1)
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis)) for axis in (1, 0))
    return alpha[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def _place(
        rng: np.random.Generator, alpha: np.ndarray, height: int, width: int,
        below: list[np.ndarray]) -> np.ndarray | None:
    """Coverage [H, W] of the digit at a random place that hides no digit below it too much."""
    for _ in range(PLACE_TRIALS):
        top = rng.integers(height - alpha.shape[0] + 1)
        left = rng.integers(width - alpha.shape[1] + 1)
        placed = np.zeros((height, width), np.float32)
        placed[top:top + alpha.shape[0], left:left + alpha.shape[1]] = alpha
        seen = visible_parts([*below, placed > 0.5])
        if all(part.sum() >= MIN_VISIBLE * whole.sum()
               for part, whole in zip(seen, below, strict=False)):
            return placed
    return None


def visible_parts(full: list[np.ndarray]) -> list[np.ndarray]:
    """What later digits leave of each mask."""
    seen = []
    covered = np.zeros_like(full[0])
    for mask in reversed(full):
        seen.append(mask & ~covered)
        covered = covered | mask
    return seen[::-1]


def _paint(rng: np.random.Generator, image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None]
    behind = (image * weight).sum((0, 1)) / weight.sum()
    colours = rng.integers(0, 256, (COLOUR_TRIALS, 3)).astype(np.float32)
    steps = np.abs((colours - behind) @ LUMA)
    clear = np.flatnonzero(steps >= MIN_LUMA_STEP)
    colour = colours[clear[0] if len(clear) else steps.argmax()]
    return image + weight * (colour - image)
