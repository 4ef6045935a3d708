"""The pass: run a frozen prefix over views of pictures, and keep what it gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from frostline.activations.engines import Engine
from frostline.activations.key import row_id
from frostline.activations.store import Store, Values
from frostline.data.frames import Frames
from frostline.data.loader import Request, load
from frostline.data.pictures import Source
from frostline.data.preprocess import Preprocess
from frostline.progress import Reporter


@dataclass(frozen=True, slots=True)
class Pictures:
    """How to get pictures as network input: source, preprocessing, limits and decoding processes."""

    source: Source
    preprocess: Preprocess
    max_pixels: int
    workers: int
    at_once: int = 32
    """Pictures that the pass computes together: the run's batch size, for rounding depends on it a little."""
    frames: Frames | None = None
    """Where pictures that are read more than once are kept."""

    def load(
        self, batches: Sequence[Sequence[Request]], *, keep: bool = False, beside: bool = True
    ) -> Iterator[Tensor]:
        """Give each batch as uint8 (batch, channels, size, size).

        Args:
            batches: the views wanted.
            keep: what is decoded, for the next time.
            beside: decode while batches are used, as `frostline.data.loader.load` does.
        """
        frames = self.frames if keep else None
        limits = {"max_pixels": self.max_pixels, "workers": self.workers}
        return load(self.source, self.preprocess, batches, **limits, frames=frames, beside=beside)


def fill(
    store: Store,
    requests: Sequence[Request],
    engine: Engine,
    pictures: Pictures,
    reporter: Reporter,
) -> int:
    """Compute the rows that a store lacks; an interrupted pass goes on where it was.

    A store that lacks none may lie on a disk that can only be read.

    Returns:
        How many rows were computed.

    Raises:
        CacheError: rows are missing, and none can be written.
    """
    if not _missing(store, requests):
        return 0
    with store.filling(reporter):
        missing = _missing(store, requests)
        if not missing:  # others have computed them meanwhile
            return 0
        batches = [missing[i : i + pictures.at_once] for i in range(0, len(missing), pictures.at_once)]
        try:
            with reporter.bar(len(missing), "computing frozen layers") as advance:
                for batch, values in zip(
                    batches, engine.run(pictures.load(batches, beside=engine.shares_cores)), strict=True
                ):
                    store.add([row_id(request) for request in batch], _to_rows(values))
                    advance(len(batch))
        finally:
            store.flush()
    return len(missing)


def _missing(store: Store, requests: Sequence[Request]) -> list[Request]:
    """One request for each row that is not there; pictures with the same content share theirs."""
    unique = {row_id(request): request for request in requests}
    return [request for row, request in unique.items() if row not in store]


def _to_rows(values: Values) -> Values:
    return tuple(value.detach().cpu().contiguous() for value in values)


def row_bytes(values: Sequence[Any]) -> int:
    """Bytes that one row of these values (rows, ...) takes."""
    return sum(value.nbytes // len(value) for value in values)
