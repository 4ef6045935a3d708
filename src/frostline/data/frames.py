"""Framed pictures kept in memory, so that later epochs decode nothing."""

import mmap
from typing import Any

import numpy as np

LIMIT = 2 * 10**9
"""Bytes; what does not fit is decoded anew each time."""


class Frames:
    """The centres of pictures, by their positions in the source.

    The memory is anonymous and shared: worker processes that are forked fill it for each other, and pages that nothing
    was written to take no room. Sent to a process in any other way, it is empty and keeps nothing.

    Args:
        count: of pictures; the first so many that fit the limit can be kept.
        shape: of uint8 pixels, (size, size) or (size, size, 3).
        limit: in bytes.
    """

    def __init__(self, count: int, shape: tuple[int, ...], *, limit: int = LIMIT) -> None:
        each = int(np.prod(shape))
        self._count = min(count, limit // (each + 1))
        memory = np.frombuffer(mmap.mmap(-1, max(1, self._count * (each + 1))), dtype=np.uint8)
        self._is_kept = memory[: self._count]
        self._pixels = memory[self._count : self._count * (each + 1)].reshape(self._count, *shape)

    def get(self, position: int) -> np.ndarray | None:
        """Give what is kept; it is not to be written to."""
        return self._pixels[position] if position < self._count and self._is_kept[position] else None

    def keep(self, position: int, pixels: np.ndarray) -> None:
        """Keep a picture's centre where there is room for it."""
        if position < self._count:
            self._pixels[position] = pixels
            self._is_kept[position] = 1  # after the pixels: another process may look at any time

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without contents."""
        return Frames, (0, self._pixels.shape[1:])
