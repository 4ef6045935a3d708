"""Trainings in processes of their own, to be killed: at their n-th write, sync or rename, or after some time.

Processes are forked from one that has imported everything and computed nothing, so that each begins at once.
"""

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from frostline.progress import Silent
from frostline.training.state import load_state

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["frostline.pipeline", "frostline.api", "sklearn.metrics", "torch._dynamo"])

SETTINGS = {
    "model": "vgg11_bn",
    "weights": "none",
    "width": 0.0625,
    "image_size": 32,
    "head": "small",
    "dropout": 0.5,
    "augment": "flip",
    "mixup": 0.2,
    "ema": 0.9,
    "stages": "head:1, block5:1, all:1@1e-4",
    "batch_size": 10,
    "lr": 0.003,
    "precision": "fp32",
    "workers": 0,
    "feature_cache": "disk",
    "engine": "torch",
}
"""Three stages, stored and from pixels, with everything that a step draws or remembers."""


@dataclass(frozen=True, slots=True)
class How:
    """How a training is run, and when it dies."""

    kill_at: int = 0
    """Which write, sync or rename, counted from 1, ends the process; 0: none."""
    stop_before: str = ""
    """The name of a file: the process stops, and goes on only when told, before a rename puts one in place. It then has
    whatever lock it writes that file under."""
    save_seconds: float = 0.0
    is_short: bool = True
    """Without review, report and plots: no place or moment of these is tried."""


def start(data, out, cache, how, **settings):
    """Start a training, or go on with one; gives the process."""
    arguments = {**SETTINGS, **settings, "cache_dir": cache, "resume": out.exists()}
    process = CONTEXT.Process(target=_work, args=(str(data), Path(out), arguments, how))
    process.start()
    return process


def finish(process, seconds=120):
    """Wait for a process; gives its exit code, negative for the signal that ended it."""
    process.join(seconds)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def wait_until_stopped(process, seconds=60):
    """Wait until a process has stopped where it was told to."""
    wait_until(lambda: _status(process) == "T", seconds)


def wait_until_waiting(out, seconds=60):
    """Wait until the training of that folder waits for another one over a store."""
    path = out.with_name(f"{out.name}.said")
    wait_until(lambda: path.is_file() and "waiting for it" in path.read_text(), seconds)


def wait_until(is_so, seconds):
    """Look again and again whether something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.02)


def _status(process):
    """What the system says a process does: T where it is stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def steps_saved(out):
    """How many steps the state on disk knows; 0 where there is none."""
    path = out / "state" / "state.safetensors"
    if not path.is_file():
        return 0
    state = load_state(path)
    return len(state.history.steps) + state.step


def notes_of(out):
    """Times at which steps ended, by the monotonic clock, in the order of the processes that made them."""
    path = out.with_name(f"{out.name}.steps")
    return [float(line) for line in path.read_text().split()] if path.is_file() else []


def points_of(out):
    """How many writes, syncs and renames a training that ended had."""
    return int(out.with_name(f"{out.name}.points").read_text())


def differing(run, other):
    """Count the bytes in which the weights of two runs differ, and the lines of their losses."""
    return sum(_differing_tensors(run, other, name) for name in ("best", "last")) + sum(
        one != two for one, two in zip(*((folder / "steps.csv").read_text() for folder in (run, other)), strict=True)
    )


def _differing_tensors(run, other, name):
    count = 0
    paths = [folder / "weights" / f"{name}.safetensors" for folder in (run, other)]
    with safe_open(paths[0], "pt") as one, safe_open(paths[1], "pt") as two:
        assert set(one.keys()) == set(two.keys())
        for key in one.keys():  # noqa: SIM118  # not a dict
            first, second = (file.get_tensor(key).numpy().tobytes() for file in (one, two))
            count += sum(a != b for a, b in zip(first, second, strict=True)) if first != second else 0
    return count


def be_short(replace):
    """Leave out what comes after a training: `replace` sets an attribute of a module."""
    from frostline import pipeline

    for name in ("plot_batch", "plot_confusion", "plot_curves"):
        replace(pipeline, name, lambda *_: "")
    replace(pipeline, "review", lambda *_: {})
    replace(pipeline, "write_report", lambda *_: None)


def _work(data, out, arguments, how):
    import torch

    from frostline import api
    from frostline.training import saving

    torch.set_num_threads(1)
    saving.SAVE_SECONDS, saving.SHARE = how.save_seconds, 1e9
    if how.is_short:
        be_short(setattr)
    killer = _Killer(how.kill_at, how.stop_before)
    killer.watch()
    api.train(data, out=out, reporter=_Noting(out), **arguments)
    out.with_name(f"{out.name}.points").write_text(str(killer.count))


class _Noting(Silent):
    """Notes when each step ended, and what was said, in files that outlive the process."""

    def __init__(self, out):
        self.file, self.said = (
            os.open(out.with_name(f"{out.name}.{kind}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for kind in ("steps", "said")
        )

    def say(self, text):
        os.write(self.said, f"{text}\n".encode())

    @contextmanager
    def bar(self, total, what, left=None):
        def advance(count):
            if what.startswith("epoch") and count:
                os.write(self.file, f"{time.monotonic()}\n".encode())

        yield advance


class _Killer:
    """Counts what a process asks of its files, and kills it at one of these; a write is then done by half.

    A sync counts, and may be where the process dies, but is not done: a killed process's writes are with the system.
    """

    def __init__(self, kill_at, stop_before):
        self.kill_at, self.stop_before, self.count = kill_at, stop_before, 0

    def watch(self):
        from frostline import sealed

        os.fsync = self._at(lambda _: None)  # what a killed process wrote stays; waiting for the disk proves nothing
        os.replace = self._at(os.replace)
        Path.write_bytes = self._at(Path.write_bytes, lambda path, content: _half(path, content))
        sealed.save_file = self._at(sealed.save_file, self._half_saved(sealed.save_file))

    def _at(self, call, last=None):
        def counted(*args, **kwargs):
            self.count += 1
            if self.stop_before and os.path.basename(str(args[-1])) == self.stop_before:
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.count == self.kill_at:
                if last:
                    last(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    def _half_saved(self, save):
        def half(tensors, path, **kwargs):
            save(tensors, path, **kwargs)
            os.truncate(path, os.path.getsize(path) // 2)

        return half


def _half(path, content):
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
