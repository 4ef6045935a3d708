"""A run's pictures, found again after it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from frostline.config import TrainConfig, make_config, read_yaml
from frostline.data.loader import Request, digest_content
from frostline.data.pictures import Source, first_few
from frostline.data.sources import open_source
from frostline.data.splitfile import read_split
from frostline.data.views import BASE
from frostline.errors import DataError, DecodeError
from frostline.files import RunFolder, default_cache_dir

T = TypeVar("T")


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Take at most so many items, evenly spread, in order."""
    count = min(most, len(items))
    return [items[place * len(items) // count] for place in range(count)]


@dataclass(frozen=True, slots=True)
class RunPictures:
    """The pictures of a run where they are now."""

    config: TrainConfig
    source: Source
    rows: list[dict[str, str]]
    """Of `split.csv`."""

    @classmethod
    def open(cls, run: RunFolder) -> "RunPictures":
        """Open DATA of a run.

        Raises:
            DataError: it is not there any more.
        """
        config = make_config(**read_yaml(run.config))
        source = open_source(config.data, cache_dir=config.cache_dir or default_cache_dir())
        return cls(config, source, read_split(run.split))

    def paths(self, split: str) -> list[str]:
        """Of the pictures of a split."""
        return [row["path"] for row in self.rows if row["split"] == split]

    def requests(self, paths: Iterable[str]) -> list[Request]:
        """Ask for pictures as they were in the run, unchanged.

        Raises:
            DataError: some are gone.
        """
        places, digests, wanted = self._places(), {row["path"]: row["digest"] for row in self.rows}, list(paths)
        gone = [path for path in wanted if path not in places]
        if gone:
            raise DataError(
                f"{len(gone)} pictures of the run are gone: {first_few(gone)}; put them back, or give other DATA"
            )
        return [Request(places[path], digests[path], BASE) for path in wanted]

    def contents(self, split: str, most: int) -> Iterator[tuple[bytes | np.ndarray, str]]:
        """Give pictures of a split with their labels, taken evenly from all of it.

        Args:
            split: of the run.
            most: how many; those that are gone or have changed are left out.
        """
        places, rows = self._places(), [row for row in self.rows if row["split"] == split]
        for row in evenly(rows, most):
            if row["path"] in places:
                try:
                    content = self.source.read(places[row["path"]])
                except DecodeError:
                    continue
                if digest_content(content) == row["digest"]:
                    yield content, row["label"]

    def _places(self) -> dict[str, int]:
        return {picture.path: place for place, picture in enumerate(self.source.pictures)}
