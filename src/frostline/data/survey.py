"""Look at every picture once, in worker processes: what a file is, how large, and a small grey copy of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from frostline.data.decode import decode, format_of
from frostline.data.loader import EXAMINED_AT_ONCE, digest_content
from frostline.data.pictures import Source
from frostline.data.workers import run_in_workers
from frostline.errors import DecodeError

SIDE = 64
"""Of the small copy."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one picture is."""

    digest: str
    """Of its bytes."""
    damage: str
    """Why it cannot be used; empty where it can."""
    format: str
    """By its first bytes; empty for pixels in memory."""
    size: tuple[int, int]
    """Width and height, upright."""
    pixels: str
    """Digest of the decoded picture."""
    small: np.ndarray
    """Grey copy, uint8 (SIDE, SIDE), both sides squeezed to it."""
    deviation: float
    """Of the grey values, full size."""


def survey(source: Source, *, max_pixels: int, workers: int) -> Iterator[list[Facts]]:
    """Look at every picture, a batch at a time, in the source's order."""
    positions = range(len(source.pictures))
    batches = [list(positions[i : i + EXAMINED_AT_ONCE]) for i in range(0, len(positions), EXAMINED_AT_ONCE)]
    yield from run_in_workers(
        _Surveyor(source, max_pixels), batches, workers, total=len(positions), max_pixels=max_pixels
    )


class _Surveyor(Dataset[Any]):
    """Takes positions, gives facts."""

    def __init__(self, source: Source, max_pixels: int) -> None:
        self.source, self.max_pixels = source, max_pixels

    def __getitems__(self, positions: Sequence[int]) -> list[Facts]:
        return [self._look(position) for position in positions]

    def _look(self, position: int) -> Facts:
        digest = kind = ""
        try:
            content = self.source.read(position)
            digest = digest_content(content)
            kind = format_of(content) if isinstance(content, bytes) else ""
            picture = decode(content, channels=3, max_pixels=self.max_pixels)
        except DecodeError as error:
            return Facts(digest, str(error), kind, (0, 0), "", np.zeros((SIDE, SIDE), np.uint8), 0.0)
        grey = picture.convert("L")
        small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        pixels = digest_content(np.asarray(picture))
        return Facts(digest, "", kind, picture.size, pixels, small, float(np.asarray(grey).std()))
