"""Disks that are full, read-only or faulty: a run goes on without what only saves time, and says so once."""

import csv
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from killing import SETTINGS, How, be_short, differing, finish, start, wait_until_stopped, wait_until_waiting

from frostline import api
from frostline.activations import shards
from frostline.activations import store as store_module
from frostline.errors import CacheError, ConfigError, LimitError
from frostline.plan import price
from frostline.progress import Silent
from made_up import make_pictures
from tiers import tier

QUICK = {**SETTINGS, "stages": "block5:4", "mixup": 0.0, "ema": 0.0, "feature_cache": "auto"}


class Listening(Silent):
    """Keeps the warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Review, report and plots would take most of the time."""
    be_short(monkeypatch.setattr)


@pytest.fixture
def _on_disk(monkeypatch):
    """Have a plan choose the disk, whatever its price: on a busy machine a small network's is chance."""
    monkeypatch.setattr(price, "_choose", lambda *_: ("disk", "chosen"))


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path / "data")


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def refuse(number):
    def write(*_, **__):
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.usefixtures("_on_disk")
@pytest.mark.parametrize("number", tier([errno.ENOSPC], [errno.ENOSPC, errno.EROFS, errno.EIO]))
def test_a_store_that_cannot_be_written_is_done_without(pictures, tmp_path, monkeypatch, number):
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **QUICK)
    monkeypatch.setattr(store_module, "write_shard", refuse(number))
    heard = Listening()
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "other", reporter=heard, **QUICK)
    told = [text for text in heard.warnings if "without the disk" in text]
    assert len(told) == 1
    assert os.strerror(number) in told[0]
    assert differing(run.path, whole.path) == 0


@pytest.mark.usefixtures("_on_disk")
def test_a_store_that_cannot_be_read_is_computed_again(pictures, tmp_path, monkeypatch):
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **QUICK)
    monkeypatch.setattr(shards, "digest_file", refuse(errno.EIO))
    heard = Listening()
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "cache", reporter=heard, **QUICK)
    assert len([text for text in heard.warnings if "Input/output error" in text and "cannot be read" in text]) == 1
    assert len([text for text in heard.warnings if "without the disk" in text]) == 1, "nothing can be written either"
    assert differing(run.path, whole.path) == 0


@pytest.mark.usefixtures("_on_disk")
def test_a_damaged_store_that_can_only_be_read_is_done_without(pictures, tmp_path, monkeypatch):
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **QUICK)
    for path in (tmp_path / "cache").rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    unlink = Path.unlink

    def keep(path, **options):
        return refuse(errno.EROFS)() if path.suffix == ".safetensors" else unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", keep)
    monkeypatch.setattr(store_module, "write_shard", refuse(errno.EROFS))
    heard = Listening()
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "cache", reporter=heard, **QUICK)
    assert len([text for text in heard.warnings if "were damaged" in text]) == len(heard.warnings) - 1
    assert len([text for text in heard.warnings if "without the disk" in text]) == 1
    assert differing(run.path, whole.path) == 0


@pytest.mark.usefixtures("_on_disk")
@pytest.mark.parametrize(
    ("given", "limit"), [(0, None), (30, None), (30, 1)], ids=["from the first", "into memory", "in an epoch"]
)
def test_a_store_that_stops_giving_its_rows_is_done_without(pictures, tmp_path, monkeypatch, given, limit):
    """While the stage is priced, its rows are taken into memory, or, where they do not fit there, in an epoch."""
    if limit:
        monkeypatch.setattr("frostline.training.task.RAM_LIMIT", limit)
    whole = api.train(pictures, out=tmp_path / "whole", cache_dir=tmp_path / "cache", **QUICK)
    read, rows = shards.Shard.read_row, []

    def fail(shard, row, into):
        rows.append(row)
        if len(rows) > given:
            raise CacheError(f"cannot read {shard.path}: Input/output error; start the run again")
        return read(shard, row, into)

    monkeypatch.setattr(shards.Shard, "read_row", fail)
    heard = Listening()
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "cache", reporter=heard, **QUICK)
    assert len([text for text in heard.warnings if "Input/output error; going on without the disk" in text]) == 1
    losses = [[float(row["loss"]) for row in rows_of(folder.path / "steps.csv")] for folder in (run, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_store_that_was_asked_for_is_an_error(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "write_shard", refuse(errno.ENOSPC))
    with pytest.raises(CacheError, match="No space left on device; free some space"):
        api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "c", **{**QUICK, "feature_cache": "disk"})


@pytest.mark.usefixtures("_on_disk")
def test_what_does_not_fit_in_memory_either_is_computed_anew(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "write_shard", refuse(errno.ENOSPC))
    monkeypatch.setattr("frostline.training.task.RAM_LIMIT", 1)
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "cache", **QUICK)
    assert run.metrics["activations"]["rows"] == 0


@pytest.mark.usefixtures("_on_disk")
def test_a_cache_folder_that_cannot_be_made_is_replaced_for_the_run(pictures, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    heard = Listening()
    run = api.train(pictures, out=tmp_path / "run", cache_dir=tmp_path / "file" / "cache", reporter=heard, **QUICK)
    assert run.metrics["activations"]["rows"] > 0
    assert len([text for text in heard.warnings if "activations are kept for this run alone" in text]) == 1
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_run_folder_that_cannot_be_made_is_refused(pictures, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="cannot write the run to"):
        api.train(pictures, out=tmp_path / "file" / "run", **QUICK)


def test_a_full_disk_under_the_run_is_one_line(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("frostline.sealed.save_file", refuse(errno.ENOSPC))
    with pytest.raises(LimitError, match="No space left on device; free some space, then go on with --resume"):
        api.train(pictures, out=tmp_path / "run", **{**QUICK, "feature_cache": "ram"})
    monkeypatch.undo()
    assert api.train(pictures, out=tmp_path / "run", resume=True).metrics["best"]


LIMITED = """
import resource, sys
from frostline import cli, pipeline
limit, value = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(limit, (value, value))
sys.argv[1:] = sys.argv[3:]
cli.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [(resource.RLIMIT_FSIZE, 20_000, "File too large"), (resource.RLIMIT_NOFILE, 9, "too many open files")],
)
def test_limits_of_the_process_are_one_line(pictures, tmp_path, limit, value, told):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    command = [sys.executable, "-c", LIMITED, str(limit), str(value), "train", str(pictures), *flags]
    done = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert told in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_runs_share_a_store_though_one_is_killed_over_it(pictures, fast_path):
    whole = fast_path / "whole"
    assert finish(start(pictures, whole, fast_path / "alone", How())) == 0
    cache = fast_path / "cache"
    first = start(pictures, fast_path / "killed", cache, How(stop_before="pending.safetensors"))
    wait_until_stopped(first)
    assert [*cache.rglob(".pending.safetensors.*.tmp")], "it is in the middle of a shard"
    numbers = range(tier(2, 7))
    others = [start(pictures, fast_path / f"run{number}", cache, How(save_seconds=9)) for number in numbers]
    for number in numbers:
        wait_until_waiting(fast_path / f"run{number}")
    assert all(one.is_alive() for one in (first, *others)), "all wait for the one that holds the lock"
    first.kill()
    assert finish(first) == -signal.SIGKILL
    assert [finish(one) for one in others] == [0 for _ in numbers]
    assert [differing(fast_path / f"run{number}", whole) for number in numbers] == [0 for _ in numbers]
    assert not [*cache.rglob("*.tmp")], "what the killed one left is swept up"


@pytest.mark.slow
@pytest.mark.usefixtures("_on_disk")
def test_a_small_disk_that_fills_up(pictures, tmp_path):
    """On a file system of its own, where such a one can be made; others fill it after its room was looked at."""
    small = tmp_path / "small"
    small.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "false", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        heard = Listening()
        run = api.train(pictures, out=tmp_path / "run", cache_dir=small, reporter=heard, **QUICK)
        assert run.metrics["best"]
        assert len([text for text in heard.warnings if "without the disk" in text]) == 1
    finally:
        subprocess.run([unmount, str(small)], check=True)
