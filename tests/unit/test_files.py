import errno
import os
from pathlib import Path

import pytest
import torch
from blake3 import blake3
from safetensors.torch import save_file

from frostline.errors import BundleError, ConfigError
from frostline.files import (
    RunFolder,
    atomic_write,
    default_cache_dir,
    digest_bytes,
    digest_file,
    make_private,
    usable_cache,
    write_text,
)


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * ((1 << 22) + 1)])
def test_digests_of_bytes_and_files_agree(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert digest_file(path) == digest_bytes(content) == blake3(content).hexdigest()


def test_a_digest_worked_out_elsewhere():
    # the first test vector of the BLAKE3 specification
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_text_is_written_with_the_same_bytes_everywhere(tmp_path):
    path = tmp_path / "file"
    write_text(path, "a\nö\n")
    assert path.read_bytes() == b"a\n\xc3\xb6\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_system_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "shared", "x")
        atomic_write(tmp_path / "tensors", lambda path: save_file({"x": torch.zeros(1)}, path))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    seen = []

    def write(temporary):
        temporary.write_text("new")
        seen.append((temporary.parent, path.read_text()))

    with path.open() as opened:
        atomic_write(path, write)
        assert opened.read() == "old"  # replaced, not rewritten
    assert seen == [(tmp_path, "old")]
    assert path.read_text() == "new"


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "c"))
    assert default_cache_dir() == tmp_path / "c"
    monkeypatch.setenv("FROSTLINE_CACHE", "")
    assert default_cache_dir().name == "frostline"


def test_a_private_folder_is_readable_by_its_user_alone(tmp_path):
    folder = make_private(tmp_path / "a")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert make_private(folder) == folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("make", [make_private, lambda path: RunFolder(path).create()])
def test_a_folder_below_a_file_is_refused(tmp_path, make):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory; choose another folder"):
        make(tmp_path / "file" / "sub")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        RunFolder(tmp_path / "run").create()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_numbered(here):
    paths = [RunFolder.choose(None, "photos-resnet18").create().path for _ in range(3)]
    assert paths == [Path("runs") / name for name in ("photos-resnet18", "photos-resnet18-2", "photos-resnet18-3")]


@pytest.mark.parametrize(("name", "folder"), [("my photos-timm:x", "my-photos-timm-x"), ("///", "run"), ("花", "花")])
def test_a_run_gets_a_name_that_can_be_a_folder(here, name, folder):
    assert RunFolder.choose(None, name).path == Path("runs") / folder


def test_an_empty_folder_may_be_chosen_but_no_other(tmp_path):
    (tmp_path / "new").mkdir()
    assert RunFolder.choose(tmp_path / "new", "x").path == tmp_path / "new"
    (tmp_path / "new" / "a").touch()
    for taken in (tmp_path / "new", tmp_path / "new" / "a"):
        with pytest.raises(ConfigError, match="exists already; choose another folder, or add --resume"):
            RunFolder.choose(taken, "x")


def test_open_needs_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(BundleError):
            RunFolder.open(path)
    RunFolder(tmp_path / "run").create().config.touch()
    run = RunFolder.open(tmp_path / "run")
    assert (run.best.parent.is_dir(), run.state.parent.is_dir()) == (True, True)


def test_a_held_run_folder_is_refused_to_others_by_name(tmp_path):
    run = RunFolder(tmp_path / "run").create()
    with (
        run.held(),
        pytest.raises(ConfigError, match=rf"is being trained into by process {os.getpid()} on .*; wait until it has"),
        RunFolder(tmp_path / "run").held(),
    ):
        pytest.fail("two cannot hold it")
    with run.held():
        pass
    run.remove_if_empty()
    assert not run.path.exists(), "what holding leaves behind does not count"


def test_who_holds_a_folder_may_be_unknown(tmp_path):
    run = RunFolder(tmp_path / "run").create()
    with run.held():
        run.state.with_name("holder").unlink()
        with pytest.raises(ConfigError, match="is being trained into by another process"), run.held():
            pytest.fail("two cannot hold it")


def test_holding_a_folder_sweeps_up_what_a_killed_process_left(tmp_path):
    run = RunFolder(tmp_path / "run").create()
    left = [
        run.path / ".config.yaml.x1.tmp",
        run.best.with_name(".best.safetensors.y.tmp"),
        run.state.parent / ".s.z.tmp",
    ]
    for path in left:
        path.write_text("half")
    kept = run.path / "mine.tmp"
    kept.write_text("the user's")
    with run.held():
        assert not any(path.exists() for path in left)
    assert kept.read_text() == "the user's"


def test_a_cache_that_can_be_written_is_used(tmp_path):
    warned = []
    assert usable_cache(tmp_path / "cache", warned.append) == tmp_path / "cache"
    assert not warned


def test_one_that_cannot_is_replaced(tmp_path):
    (tmp_path / "file").write_text("no folder")
    warned = []
    folder = usable_cache(tmp_path / "file" / "cache", warned.append)
    assert folder.is_dir()
    assert not any(folder.iterdir())
    assert len(warned) == 1
    assert "activations are kept for this run alone" in warned[0]


def test_without_room_for_temporary_files_there_is_no_cache(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("frostline.files.tempfile.mkdtemp", refuse)
    with pytest.raises(ConfigError, match="cannot write to"):
        usable_cache(tmp_path / "file" / "cache", print)
