"""Processes that decode: bounded in memory, deaf to Ctrl-C, gone with their parent; what befalls them is told.

torch's DataLoader starts them and carries their results. What it raises when one dies, hangs or cannot hand over its
result becomes a DataError of one line that names the setting to lower.
"""

import ctypes
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from frostline.data.pictures import MORE_FILES
from frostline.errors import DataError

WORTH_WORKERS = 32
"""Fewer pictures than this are read in the process itself: starting workers would cost more."""
PATIENCE_S = 300.0
"""Seconds without any result after which workers count as hanging; the hardest batch takes a fraction of it."""
GRACE_S = 5.0
"""Seconds in which a process that was killed should be gone."""
ROOM_BYTES, ROOM_PER_PIXEL = 2 << 30, 64
"""Memory that a worker may take beyond what it has at its start: for itself, and for each pixel that a picture may
have. Turning 16-bit pixels into 8 takes most, some 40 bytes each."""
_FEWER = "lower --workers (0 needs no such process) or --max-pixels"
_FEWER_SHARED = "give it more room (df -h /dev/shm; docker run --shm-size), or pass --workers 0"
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def run_in_workers(
    dataset: Dataset[Any], batches: Sequence[Any], workers: int, *, total: int, max_pixels: int
) -> Iterator[Any]:
    """Map batches through the dataset, in worker processes where that pays; results come in order.

    Args:
        dataset: its `__getitems__` takes a batch and gives its result.
        batches: what it is given.
        workers: processes at most.
        total: pictures in all batches; a few are not worth workers.
        max_pixels: of a picture; bounds the memory of a worker.

    Raises:
        DataError: one that the dataset raised; or workers cannot be started, died, hang, or cannot hand over.
    """
    workers = min(workers, len(batches)) if total >= WORTH_WORKERS else 0
    results = (
        _ahead(_Careful(dataset), batches, workers, max_pixels) if workers else map(_Careful(dataset).map, batches)
    )
    for result in results:
        if isinstance(result, _Failure):
            raise DataError(result.message)
        yield result


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error as a value: an exception from another process arrives without its type."""

    message: str


class _Careful(Dataset[Any]):
    """Gives what a dataset gives, in memory that processes share, or a failure."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def map(self, batch: Any) -> Any:
        """Give a batch's result."""
        try:
            return self.dataset.__getitems__(batch)
        except DataError as error:
            return _Failure(str(error))

    def __getitems__(self, batch: Any) -> Any:
        result = self.map(batch)
        try:
            return _shared(result)
        except (OSError, RuntimeError) as error:
            return _Failure(_no_shared_memory(error))


def _shared(result: Any) -> Any:
    """Move tensors to shared memory here, where a failure can be told: torch would do it in a thread of its own."""
    for value in result if isinstance(result, tuple) else (result,):
        if isinstance(value, Tensor) and value.numel():
            value.share_memory_()  # type: ignore[no-untyped-call]  # torch gives it no types
    return result


def _ahead(careful: _Careful, batches: Sequence[Any], workers: int, max_pixels: int) -> Iterator[Any]:
    """Give results that workers make ahead of time."""
    before = set(multiprocessing.active_children())
    try:
        results = _start(careful, batches, workers, max_pixels)
    except OSError as error:
        _end([child for child in multiprocessing.active_children() if child not in before])
        raise DataError(_not_started(workers, error)) from error
    processes = [child for child in multiprocessing.active_children() if child not in before]
    try:
        for _ in batches:
            yield _next(results, processes)
        next(results, None)  # ends the processes
    finally:
        with _when_a_child_ends(signal.SIG_DFL):
            _end(processes)  # after an error they may hang, and torch would wait
            del results


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join(GRACE_S)  # one that waits for a dead drive cannot even be killed


def _next(results: Iterator[Any], processes: Sequence[BaseProcess]) -> Any:
    """Wait for a result; the death of a worker ends the wait at once, where otherwise only patience would."""
    waiting_since = time.monotonic()
    check = partial(_check, processes)
    try:
        with _when_a_child_ends(check):
            check()  # one may have died between two waits
            return next(results)
    except (OSError, RuntimeError) as error:
        reason = _what_befell(processes, error, time.monotonic() - waiting_since)
        if reason:
            raise DataError(reason) from error
        raise


def _start(careful: _Careful, batches: Sequence[Any], workers: int, max_pixels: int) -> Iterator[Any]:
    in_main_thread = threading.current_thread() is threading.main_thread()
    is_their_parent = multiprocessing.get_start_method() != "forkserver"
    heard = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    results = iter(
        DataLoader(
            careful,
            batch_sampler=_Batches(batches),
            num_workers=workers,
            collate_fn=_as_is,
            timeout=PATIENCE_S,
            worker_init_fn=partial(_prepare, os.getpid(), in_main_thread and is_their_parent, max_pixels),
            generator=torch.Generator(),  # what torch draws from it seeds nothing here
        )
    )
    if heard is not None and in_main_thread:
        signal.signal(signal.SIGCHLD, heard)  # torch's handler would raise wherever the program is, not only here
    return results


def _prepare(parent: int, dies_with_parent: bool, max_pixels: int, _number: int) -> None:
    """Make a new worker harmless."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    if dies_with_parent and sys.platform == "linux":  # the kernel means the parent's thread, which here is the main one
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    _bound_memory(ROOM_BYTES + ROOM_PER_PIXEL * max_pixels)


def _bound_memory(room: int) -> None:
    """Let this process take so many bytes more than it has: beyond it, decoding meets a MemoryError.

    Only where the system tells what a process has, which is Linux.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return
    import resource  # not there on every system

    has = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmData"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    given = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([has + room, *given]), hard))


@contextmanager
def _when_a_child_ends(handler: Any) -> Iterator[None]:
    """Have SIGCHLD handled so; only the main thread of a system that has it can."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _check(processes: Sequence[BaseProcess], *_: object) -> None:
    if any(process.exitcode for process in processes):
        raise RuntimeError("a worker died")  # _next tells of it


def _what_befell(processes: Sequence[BaseProcess], error: Exception, waited_s: float) -> str:
    """Say what happened to workers; "" where it is something else."""
    ends = [process.exitcode for process in processes if process.exitcode]
    if ends:
        return _death(ends[0])
    if waited_s >= PATIENCE_S:
        return (
            f"the processes that decode pictures hang: no result for {PATIENCE_S:.0f} s; look for a file or a drive "
            f"that cannot be read, or {_FEWER}"
        )
    # torch looks for this itself, and says so in an error without a type or number
    text = str(error)
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "open files" in text or "ancdata" in text:
        return f"too many open files; {MORE_FILES}"
    return _no_shared_memory(error) if isinstance(error, OSError) or "shared memory" in text else ""


def _death(end: int) -> str:
    if end == -getattr(signal, "SIGBUS", 0):
        return f"a process that decodes pictures died of a bus error: shared memory is full; {_FEWER_SHARED}"
    if end == -signal.SIGKILL:
        return f"a process that decodes pictures was killed, most likely by the system for lack of memory; {_FEWER}"
    how = f"of {signal.Signals(-end).name}" if end < 0 else f"with exit code {end}"
    return f"a process that decodes pictures died {how}; pass --workers 0 to see which picture it is, or {_FEWER}"


def _no_shared_memory(error: Exception) -> str:
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "open files" in str(error):
        return f"too many open files; {MORE_FILES}"
    return f"no shared memory for decoded pictures ({' '.join(str(error).split())[:200]}); {_FEWER_SHARED}"


def _not_started(workers: int, error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files; {MORE_FILES}"
    why = error.strerror or error
    return f"cannot start {workers} processes that decode pictures ({why}); lower --workers (0 needs none)"


class _Batches(torch.utils.data.Sampler[Any]):
    """A ready list of batches in the place of a sampler."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _as_is(batch: Any) -> Any:
    return batch
