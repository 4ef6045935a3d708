"""Changes drawn anew for every view: a shifted crop, a hidden square, RandAugment; functions of (pixels, seed)."""

import re
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from frostline.errors import ConfigError

Change = Callable[[np.ndarray, int], np.ndarray]
"""Takes uint8 pixels (height, width) or (height, width, 3) and a seed; gives the same shape."""

ALLOWED = (
    "pad:P (shift by up to P pixels), cutout:S (hide a square of side S), randaugment[:OPERATIONS[:MAGNITUDE]] (to 30)"
)
_DRAWING = threading.Lock()
"""Torch's generator is one for all threads."""
_CHANGE = re.compile(r"(pad|cutout):(\d{1,3})|(randaugment)(?::([1-9])(?::([12]?\d|30))?)?")


def parse_change(text: str, fill: Sequence[float] = (0.5,)) -> Change:
    """Read `pad:P`, `cutout:S` or `randaugment[:N[:M]]`.

    Args:
        text: one change.
        fill: what a hidden square shows, per channel from 0 to 1.

    Raises:
        ConfigError: anything else.
    """
    match = _CHANGE.fullmatch(text)
    numbers = [int(number) for number in (match.groups() if match else ()) if number and number.isdigit()]
    match match[1] or match[3] if match else None:
        case "pad" if numbers[0] > 0:
            return lambda pixels, seed: _shift(pixels, numbers[0], seed)
        case "cutout" if numbers[0] > 0:
            return lambda pixels, seed: _hide(pixels, numbers[0], seed, fill)
        case "randaugment":
            operations, magnitude = (*numbers, *(2, 9)[len(numbers) :])
            return lambda pixels, seed: _rand_augment(pixels, operations, magnitude, seed)
    raise ConfigError(f"augmentation {text!r} is not known; allowed are {ALLOWED}")


def _shift(pixels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Pad by reflection, then crop at random to the size it was."""
    up, left = np.random.default_rng(seed).integers(-most, most + 1, 2)
    return move(pixels, -up, -left)


def move(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move what pixels (height, width, ...) show; what comes in at the edges is reflected."""
    rows, columns = reflected(pixels.shape[0], -down), reflected(pixels.shape[1], -right)
    moved: np.ndarray = pixels[rows][:, columns]
    return moved


def reflected(count: int, shift: int) -> np.ndarray:
    """Where the places 0 to count-1, moved by `shift`, come to lie when the ends reflect."""
    period = max(1, 2 * (count - 1))
    places = (np.arange(count) + shift) % period
    return np.minimum(places, period - places)


def _hide(pixels: np.ndarray, side: int, seed: int, fill: Sequence[float]) -> np.ndarray:
    """Cover a square, centred anywhere in the picture (cutout, arXiv 1708.04552)."""
    height, width = pixels.shape[:2]
    draw = np.random.default_rng(seed)
    top, left = int(draw.integers(0, height)) - side // 2, int(draw.integers(0, width)) - side // 2
    covered = pixels.copy()
    hidden = np.rint(255 * np.array(fill)).astype(np.uint8)
    covered[max(0, top) : top + side, max(0, left) : left + side] = hidden if pixels.ndim == 3 else hidden[0]
    return covered


def _rand_augment(pixels: np.ndarray, operations: int, magnitude: int, seed: int) -> np.ndarray:
    """RandAugment (arXiv 1909.13719), torchvision's; its draws come from the seed, torch's own state is left alone."""
    from torchvision.transforms import RandAugment  # slow to import, and only this needs it

    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return np.asarray(RandAugment(operations, magnitude)(Image.fromarray(pixels)))
