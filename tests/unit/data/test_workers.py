import errno
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frostline.data import workers
from frostline.data.loader import examine
from frostline.data.pictures import Picture
from frostline.data.workers import WORTH_WORKERS, run_in_workers
from frostline.errors import DataError

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only there the system tells and bounds what is taken")
MEGABYTE = 1 << 20


class Doing:
    """A dataset whose results are what a function gives."""

    def __init__(self, act):
        self.act = act

    def __getitems__(self, batch):
        return self.act(batch)


def run(act, *, count=4, processes=2):
    return list(start(act, count=count, processes=processes))


def start(act, *, count=4, processes=2):
    return run_in_workers(Doing(act), list(range(count)), processes, total=WORTH_WORKERS, max_pixels=1000)


def fail(error):
    def act(_):
        raise error

    return act


@pytest.mark.parametrize("processes", [0, 2])
def test_results_come_in_order(processes):
    results = run(lambda batch: (["x"], torch.full((batch, 2), batch)), count=6, processes=processes)
    assert [len(values) for _, values in results] == list(range(6))
    assert all((values == number).all() for number, (_, values) in enumerate(results))
    assert multiprocessing.active_children() == []


def test_a_few_pictures_are_read_here():
    found = run_in_workers(Doing(lambda _: os.getpid()), [0, 1], 2, total=WORTH_WORKERS - 1, max_pixels=1)
    assert set(found) == {os.getpid()}


@pytest.mark.parametrize("processes", [0, 2])
def test_what_is_wrong_with_the_data_arrives_as_it_was_said(processes):
    with pytest.raises(DataError, match=r"^a/1\.png has changed$"):
        run(fail(DataError("a/1.png has changed")), processes=processes)


def test_other_errors_are_not_hidden_and_nobody_is_waited_for(monkeypatch):
    ended, end = [], workers._end
    monkeypatch.setattr(workers, "_end", lambda processes: (ended.extend(processes), end(processes)))
    with pytest.raises(ZeroDivisionError):
        run(fail(ZeroDivisionError("a bug")))
    assert multiprocessing.active_children() == []
    assert [process.exitcode for process in ended] == [-signal.SIGKILL] * 2  # torch alone would take ten seconds


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, "was killed, most likely by the system for lack of memory; lower --workers .*--max-pixels"),
        (signal.SIGBUS, "died of a bus error: shared memory is full; give it more room .*--workers 0"),
        (signal.SIGSEGV, "died of SIGSEGV; pass --workers 0 to see which picture it is"),
    ],
)
def test_a_worker_that_is_killed_is_told_at_once(number, message):
    began = time.monotonic()
    with pytest.raises(DataError, match=message) as told:
        run(lambda _: os.kill(os.getpid(), number) or time.sleep(600))
    assert "\n" not in str(told.value)
    assert time.monotonic() - began < workers.PATIENCE_S / 2  # the death itself is told, not that patience ended
    assert multiprocessing.active_children() == []


def test_a_worker_that_ends_is_told():
    with pytest.raises(DataError, match="died with exit code 3"):
        run(lambda _: os._exit(3))


def test_a_death_between_two_results_disturbs_nothing_else():
    results = start(lambda batch: batch, count=8)
    assert next(results) == 0
    victims = multiprocessing.active_children()
    victims[0].kill()
    for _ in range(20):  # what the program does meanwhile
        time.sleep(0.02)
    with pytest.raises(DataError, match="was killed"):
        list(results)
    assert multiprocessing.active_children() == []


def test_workers_that_hang_are_told_and_ended(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", 1.0)
    with pytest.raises(
        DataError, match=r"hang: no result for 1 s; look for a file or a drive.*lower --workers"
    ) as told:
        run(lambda _: time.sleep(600))
    assert "\n" not in str(told.value)
    assert multiprocessing.active_children() == []


def test_workers_do_not_hear_ctrl_c():
    assert set(run(lambda _: signal.getsignal(signal.SIGINT) is signal.SIG_IGN)) == {True}


def test_handlers_stay_as_they_were():
    before = signal.getsignal(signal.SIGCHLD)
    results = start(lambda batch: batch)
    next(results)
    assert signal.getsignal(signal.SIGCHLD) is before
    list(results)
    assert signal.getsignal(signal.SIGCHLD) is before


def test_another_thread_may_read_too():
    found = []
    thread = threading.Thread(target=lambda: found.extend(run(lambda batch: batch)))
    thread.start()
    thread.join(60)
    assert found == [0, 1, 2, 3]


def in_a_new_process(act):
    """Run a function in a process of its own: in this one, memory that tests before have freed would be taken again."""
    code = f"import {act.__module__} as tests; tests.{act.__name__}()"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def allocate(batch):
    try:
        return len(np.zeros(16 * MEGABYTE * (1 if batch % 2 else 8), np.uint8)) // MEGABYTE
    except MemoryError:
        return "too much"


def bound_memory():
    workers.ROOM_BYTES = 64 * MEGABYTE
    held = np.ones(200 * MEGABYTE, np.uint8)  # what the parent has does not count
    assert run(allocate) == ["too much", 16, "too much", 16]
    assert len(held)


@needs_proc
def test_memory_is_bounded_beyond_what_a_worker_begins_with():
    in_a_new_process(bound_memory)


class Files:
    """Forty pictures in memory, one of them large."""

    def __init__(self, side):
        self.pictures = [Picture(f"{number}.png", "a") for number in range(40)]
        self.contents = [self._png(side if number == 7 else 9) for number in range(40)]

    def _png(self, side):
        buffer = io.BytesIO()
        Image.new("1", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()

    def read(self, position):
        return self.contents[position]


def exhaust_memory():
    workers.ROOM_BYTES, workers.ROOM_PER_PIXEL = 128 * MEGABYTE, 0
    options = {"channels": 3, "max_pixels": 10**8, "known_good": {}}
    batches = list(examine(Files(8000), **options, workers=2))  # 256 megabytes as RGB
    damages = [found.damage for batch in batches for found in batch]
    assert [number for number, damage in enumerate(damages) if damage] == [7]
    assert damages[7].endswith("needs more memory than decoding may take")


@needs_proc
def test_a_picture_that_exhausts_memory_is_left_out_alone():
    in_a_new_process(exhaust_memory)


def test_the_room_holds_the_hardest_picture_of_the_largest_size(monkeypatch):
    monkeypatch.setattr(workers, "ROOM_BYTES", 48 * MEGABYTE)  # the interpreter's own needs
    source, side = Files(9), 1500
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), 40_000, np.uint16)).save(buffer, "TIFF")
    source.contents[7] = buffer.getvalue()
    batches = list(examine(source, channels=3, max_pixels=side * side, workers=2, known_good={}))
    assert not any(found.damage for batch in batches for found in batch)


SCRIPT = """
import multiprocessing, os, time
from frostline.data.workers import run_in_workers

class Sleeping:
    def __getitems__(self, batch):
        if batch:
            time.sleep(600)
        return batch

results = run_in_workers(Sleeping(), list(range(6)), 2, total=99, max_pixels=1)
next(results)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(600)
"""


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@needs_proc
def test_no_worker_outlives_its_parent():
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    children = [int(number) for number in parent.stdout.readline().split()]
    assert len(children) == 2
    assert all(map(is_running, children))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, children))


def test_a_lack_of_shared_memory_is_told(monkeypatch):
    def full(_):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(workers, "_shared", full)
    with pytest.raises(DataError, match=r"no shared memory.*No space left.*df -h /dev/shm.*--workers 0"):
        run(lambda _: torch.zeros(3))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EMFILE, r"too many open files; raise the limit with `ulimit -n`.*--workers 0"),
        (errno.EAGAIN, r"cannot start 2 processes .*temporarily unavailable.*lower --workers"),
    ],
)
def test_workers_that_cannot_be_started_are_told(monkeypatch, number, message):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(workers, "DataLoader", refuse)
    with pytest.raises(DataError, match=message):
        run(lambda batch: batch)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("Too many open files. Communication with the workers is no longer possible."),
        RuntimeError("received 0 items of ancdata"),
    ],
)
def test_too_many_open_files_while_reading_is_told(monkeypatch, error):
    monkeypatch.setattr(torch.utils.data.dataloader._MultiProcessingDataLoaderIter, "_next_data", fail_next(error))
    with pytest.raises(DataError, match=r"too many open files; raise the limit with `ulimit -n`"):
        run(lambda batch: batch)
    assert multiprocessing.active_children() == []


def fail_next(error):
    def act(_self):
        raise error

    return act
