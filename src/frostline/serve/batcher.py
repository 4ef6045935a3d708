"""Batches across requests: one thread runs the network over whatever pictures wait."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from traceback import print_exc

import torch
from torch import Tensor

MOST = 32
"""Pictures of a batch."""
WAIT = 0.01
"""Seconds that a picture waits, at most, for others that are being decoded to share its batch."""

Compute = Callable[[Iterator[Tensor]], Iterator[Tensor]]
"""From batches of uint8 pixels (batch, channels, size, size) to their probabilities (batch, classes), in order."""


class NetworkFailed(Exception):
    """The network raised something; what stands in the log of errors."""


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: Tensor
    answer: Future[Tensor] = field(default_factory=Future)


class Batcher:
    """Computes pictures in the order in which they come, many at once.

    As long as more pictures wait, the network is given batch after batch and need not run dry between them; when none
    waits, what is under way is finished at once.

    Args:
        compute: the network.
        most: pictures of a batch.
        wait: seconds that the first picture waits for others that are known to be coming.
        observe: told the size of every batch.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        most: int = MOST,
        wait: float = WAIT,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._compute, self._most, self._wait, self._observe = compute, most, wait, observe
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._is_ending = False
        self.coming = 0
        """Pictures that are being decoded; the one who decodes them counts."""
        self._thread = Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still computes."""
        return self._thread.is_alive()

    def submit(self, pixels: Tensor) -> Future[Tensor]:
        """Ask for the probabilities (classes,) of one picture, uint8 (channels, size, size).

        The future raises NetworkFailed where the network does. One that is cancelled before its turn is not computed.
        """
        job = _Job(pixels)
        self._queue.put(job)
        return job.answer

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while not self._is_ending:
            first = self._next(None)
            if first is not None:
                self._answer_from(first)

    def _answer_from(self, first: _Job) -> None:
        """Answer a picture and all that come while the network is busy."""
        under_way = deque(batch for batch in [self._gather(first)] if batch)
        try:
            for rows in self._compute(self._batches(under_way)) if under_way else ():
                for job, row in zip(under_way[0], rows, strict=True):
                    job.answer.set_result(row)
                under_way.popleft()
        except Exception as error:  # whatever a network meets; the pictures after these deserve another try
            print_exc(file=sys.stderr)
            for job in (job for batch in under_way for job in batch if not job.answer.done()):
                job.answer.set_exception(NetworkFailed(type(error).__name__))

    def _batches(self, under_way: deque[list[_Job]]) -> Iterator[Tensor]:
        """Give the batch that is under way, then those of all pictures that wait by then."""
        jobs = under_way[0]
        while True:
            self._observe(len(jobs))
            yield torch.stack([job.pixels for job in jobs])
            jobs = self._gather_next()
            if not jobs:
                return
            under_way.append(jobs)

    def _gather_next(self) -> list[_Job]:
        """Take the next batch of what waits already; empty where nothing does."""
        following = self._next(0)
        return [] if following is None else self._gather(following)

    def _gather(self, first: _Job) -> list[_Job]:
        """Take a batch of pictures whose answer is still wanted."""
        jobs, until = [first], time.monotonic() + self._wait
        while len(jobs) < self._most and not self._is_ending:
            job = self._next(max(0.0, until - time.monotonic()) if self.coming > 0 else 0)
            if job is None:
                break
            jobs.append(job)
        return [job for job in jobs if job.answer.set_running_or_notify_cancel()]

    def _next(self, timeout: float | None) -> _Job | None:
        """Wait for a picture; None where none comes in time, or the end has come."""
        try:
            job = self._queue.get(timeout=timeout) if timeout != 0 else self._queue.get_nowait()
        except Empty:
            return None
        self._is_ending = self._is_ending or job is None
        return job
