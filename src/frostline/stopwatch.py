"""Where a run's seconds go."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up wall-clock seconds by name; inner spans are taken out of the outer one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner: list[float] = []
        self._start = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self._start

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self.seconds[name] += took - self._inner.pop()
            if self._inner:
                self._inner[-1] += took
