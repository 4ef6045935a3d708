"""What a machine may do to a run from outside: a clock that jumps, a disk made read-only, memory taken away."""

import itertools
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from killing import SETTINGS, How, be_short, differing, finish, start
from test_disk import QUICK, Listening

from frostline import api
from frostline.errors import LimitError
from frostline.plan import price
from made_up import make_pictures
from tiers import tier

DAY = 86_400
MEMORY = Path("/sys/fs/cgroup/memory")
UNIFIED = Path("/sys/fs/cgroup")


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path / "data")


@pytest.fixture
def _short(monkeypatch):
    be_short(monkeypatch.setattr)


@pytest.mark.usefixtures("_short")
def test_a_clock_that_jumps_changes_nothing(pictures, tmp_path, monkeypatch):
    """By a day, to and fro, at every look; and files that are from the future."""
    settings = {**QUICK, "feature_cache": "disk"}
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **settings)
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (time.time() + 3650 * DAY,) * 2)
    own, jumps = time.time, itertools.cycle((DAY, -DAY, 0))
    monkeypatch.setattr(time, "time", lambda: own() + next(jumps))
    for name in ("cache", "other"):
        run = api.train(pictures, out=tmp_path / f"run-{name}", cache_dir=tmp_path / name, **settings)
        assert differing(run.path, whole.path) == 0
        assert run.metrics["seconds"]["total"] < DAY / 2


class Remounting(Listening):
    """Makes a folder read-only once something has begun."""

    def __init__(self, folder, what):
        super().__init__()
        self.folder, self.what, self.done = folder, what, False

    @contextmanager
    def bar(self, total, what, left=None):
        def advance(_):
            if what.startswith(self.what) and not self.done:
                make_read_only(self.folder)
                self.done = True

        yield advance


def make_read_only(folder):
    """Mount a folder over itself for reading; a file system in use is refused `remount,ro` by all but a fault."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)


@pytest.fixture
def mounted(tmp_path):
    """A folder that can be made read-only, as it was afterwards."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    try:
        make_read_only(folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    unmount(folder)
    yield folder
    unmount(folder)


def unmount(folder):
    while not subprocess.run(["umount", "--lazy", str(folder)], capture_output=True).returncode:
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("during", ["computing frozen layers", "epoch 1/"])
def test_a_cache_that_becomes_read_only_is_done_without(pictures, tmp_path, monkeypatch, mounted, during):
    monkeypatch.setattr(price, "_choose", lambda *_: ("disk", "chosen"))
    settings = {**QUICK, "stages": "head:2, block5:2"}
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **settings)
    heard = Remounting(mounted, during)
    run = api.train(pictures, out=tmp_path / "run", cache_dir=mounted / "cache", reporter=heard, **settings)
    assert heard.done
    assert differing(run.path, whole.path) == 0
    (told,) = [text for text in heard.warnings if "without the disk" in text]
    assert "Read-only file system" in told


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_a_full_store_is_read_where_it_cannot_be_written(pictures, tmp_path, mounted):
    settings = {**QUICK, "cache_dir": mounted / "cache", "feature_cache": "disk"}
    api.train(pictures, out=tmp_path / "first", **settings)
    heard = Remounting(mounted, "checking pictures")
    run = api.train(pictures, out=tmp_path / "second", reporter=heard, **settings)
    assert heard.done
    assert run.metrics["activations"]["computed"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_a_run_folder_that_becomes_read_only_goes_on_once_it_is_not(pictures, tmp_path, monkeypatch, mounted):
    monkeypatch.setattr("frostline.training.saving.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("frostline.training.saving.SHARE", 1e9)
    settings = {**QUICK, "cache_dir": tmp_path / "cache"}
    whole = api.train(pictures, out=tmp_path / "whole", **settings)
    heard = Remounting(mounted, "epoch 2/4")
    with pytest.raises(LimitError, match=r"Read-only file system; .*--resume"):
        api.train(pictures, out=mounted / "run", reporter=heard, **settings)
    unmount(mounted)
    run = api.train(pictures, out=mounted / "run", resume=True, cache_dir=tmp_path / "cache")
    assert differing(run.path, whole.path) == 0


@pytest.fixture
def memory_limit():
    """A function that moves a process into a group of its own with so many bytes of memory."""
    old = (MEMORY / "memory.limit_in_bytes").is_file()
    group = (MEMORY if old else UNIFIED) / f"frostline-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    limits = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] if old else ["memory.max", "memory.swap.max"]

    def limit(process, size):
        for name in limits:
            if (group / name).is_file():
                (group / name).write_text(str(size))
        (group / "cgroup.procs").write_text(str(process.pid))

    yield limit
    group.rmdir()


@pytest.mark.slow
@pytest.mark.skipif(not tier(0, 1), reason="a part of the full tier")
def test_a_container_out_of_memory_loses_nothing_that_was_saved(fast_path, memory_limit):
    """The system kills the process; what it saved goes on where there is room."""
    data = make_pictures(fast_path / "data")
    whole, out = fast_path / "whole", fast_path / "run"
    settings = {**SETTINGS, "stages": "head:1, all:400@1e-4"}
    assert finish(start(data, whole, fast_path / "alone", How(save_seconds=1), **settings)) == 0
    process = start(data, out, fast_path / "cache", How(save_seconds=0.1), **settings)
    while not (out / "state" / "state.safetensors").is_file():
        time.sleep(0.05)
    memory_limit(process, 4_000_000)
    assert finish(process) == -signal.SIGKILL
    assert finish(start(data, out, fast_path / "cache", How(save_seconds=1), **settings)) == 0
    assert differing(out, whole) == 0
