import errno
import json
import multiprocessing
import os
import pickle
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save as tensors_save
from safetensors.torch import save_file

from frostline.activations import store as store_module
from frostline.activations.housekeeping import list_stores, prune_stores
from frostline.activations.key import StoreKey
from frostline.activations.shards import open_shard, write_shard
from frostline.activations.store import DiskStore, RamStore, copy_to_ram
from frostline.errors import CacheError
from frostline.files import digest_file

KEY = StoreKey(weights="w", graph="g", cut="layer3", preprocess="p", precision="fp32", engine="e")
HERE = {"store": KEY.digest()}
"""What the header of a shard of that store says."""


class Recorder:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.said, self.warned = [], []

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)

    @contextmanager
    def bar(self, total, what):
        yield lambda count: None


def row(number):
    return number.to_bytes(16, "big")


def values_of(numbers, dtype=torch.float32):
    """Two values per row, a map and a vector, that tell the row's number."""
    numbers = torch.tensor(numbers, dtype=torch.float32)
    maps = numbers.view(-1, 1, 1, 1) + torch.arange(12).view(1, 2, 3, 2) / 16
    return maps.to(dtype), -numbers.view(-1, 1).repeat(1, 5)


def add(store, *numbers, dtype=torch.float32):
    store.add([row(number) for number in numbers], values_of(numbers, dtype))


def check(store, numbers, dtype=torch.float32):
    got = store.read([row(number) for number in numbers])
    for value, expected in zip(got, values_of(numbers, dtype), strict=True):
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected)


def shards(folder):
    return sorted(path for path in folder.glob("*.safetensors") if path.name != "pending.safetensors")


@pytest.fixture(params=["ram", "disk"])
def store(request, tmp_path):
    return RamStore() if request.param == "ram" else DiskStore(tmp_path, KEY, Recorder())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_added_is_read(store, dtype):
    assert row(1) not in store
    add(store, 1, 2, 3, dtype=dtype)
    add(store, 7, dtype=dtype)
    store.flush()
    assert all(row(number) in store for number in (1, 2, 3, 7))
    assert row(4) not in store
    check(store, [1, 2, 3, 7], dtype)


def test_rows_come_in_the_order_asked_for_and_as_often(store):
    add(store, 1, 2, 3)
    store.flush()
    check(store, [3, 1, 3, 3, 2, 1])


def test_rows_added_after_a_flush_join_those_before(store):
    for number in range(5):
        add(store, number)
        store.flush()
    store.flush()
    check(store, [4, 0, 2])


def test_what_is_read_belongs_to_the_reader(store):
    add(store, 1, 2)
    store.flush()
    for value in store.read([row(1), row(2)]):
        value.zero_()
    check(store, [1, 2])


def test_filling_an_own_store_needs_no_waiting(store):
    reporter = Recorder()
    with store.filling(reporter):
        add(store, 1)
        store.flush()
    assert reporter.said == []


@given(parts=st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=6), min_size=1, max_size=5), data=st.data())
def test_a_memory_store_is_a_table(parts, data):
    store, known = RamStore(), []
    for part in parts:
        new = [number for number in dict.fromkeys(part) if number not in known]
        if new:
            add(store, *new)
            known += new
    store.flush()
    check(store, data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=10)))


def test_a_store_is_there_when_opened_again(tmp_path):
    first = DiskStore(tmp_path, KEY, Recorder())
    add(first, 1, 2)
    first.flush()
    add(first, 3)  # never flushed
    reporter = Recorder()
    again = DiskStore(tmp_path, KEY, reporter)
    check(again, [2, 1])
    assert row(3) not in again
    assert reporter.warned == []


def test_another_key_is_another_store(tmp_path):
    first = DiskStore(tmp_path, KEY, Recorder())
    add(first, 1)
    first.flush()
    other = StoreKey(weights="x", graph="g", cut="layer3", preprocess="p", precision="fp32", engine="e")
    assert row(1) not in DiskStore(tmp_path, other, Recorder())


def test_only_the_user_can_read_a_store(tmp_path):
    store = DiskStore(tmp_path / "home", KEY, Recorder())
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_full_shards_are_written_at_once(tmp_path, monkeypatch):
    row_bytes = sum(value.nbytes for value in values_of([0]))
    monkeypatch.setattr(store_module, "SHARD_BYTES", 3 * row_bytes)
    store = DiskStore(tmp_path, KEY, Recorder())
    for number in range(7):
        add(store, number)
        assert len(shards(store.folder)) == (number + 1) // 3
    store.flush()
    assert len(shards(store.folder)) == 3
    check(DiskStore(tmp_path, KEY, Recorder()), [6, 0, 5, 2, 2])


def test_rows_do_not_wait_long_for_a_full_shard(tmp_path, monkeypatch):
    store = DiskStore(tmp_path, KEY, Recorder())
    add(store, 1)
    assert shards(store.folder) == []
    monkeypatch.setattr(store_module, "FLUSH_SECONDS", 0.0)
    add(store, 2)
    assert len(shards(store.folder)) == 1
    check(store, [1, 2])


def test_a_shard_is_full_to_the_byte(tmp_path, monkeypatch):
    """Also after one was written."""
    row_bytes = sum(value.nbytes for value in values_of([0]))
    monkeypatch.setattr(store_module, "SHARD_BYTES", row_bytes + 1)
    store = DiskStore(tmp_path, KEY, Recorder())
    for number, written in ((1, 0), (2, 1), (3, 1), (4, 2)):
        add(store, number)
        assert len(shards(store.folder)) == written


def test_rows_wait_from_the_first_one_on(tmp_path, monkeypatch):
    """Not from when the store was opened, nor from the shard before."""
    clock = [0.0]
    monkeypatch.setattr(store_module.time, "monotonic", lambda: clock[0])
    store = DiskStore(tmp_path, KEY, Recorder())
    for begin, written in ((100.0, 0), (500.0, 1)):
        for seconds in (0.0, 19.9):
            clock[0] = begin + seconds
            add(store, int(clock[0]))
            assert len(shards(store.folder)) == written
        clock[0] = begin + 20.0
        add(store, int(clock[0]))
        assert len(shards(store.folder)) == written + 1


def test_what_a_shard_may_hold_and_how_many_files_may_be_open():
    """Systems allow about a thousand open files; an interruption costs what waits to be written."""
    assert (store_module.SHARD_BYTES, store_module.FLUSH_SECONDS, store_module.MOST_OPEN) == (128_000_000, 20.0, 256)


@pytest.fixture
def filled(tmp_path):
    """A store of two shards, closed."""
    store = DiskStore(tmp_path, KEY, Recorder())
    add(store, 1, 2)
    store.flush()
    first = shards(store.folder)
    add(store, 3, 4)
    store.flush()
    (second,) = set(shards(store.folder)) - set(first)
    return store.folder, first[0], second


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 20, -1, -60], ids=["length", "header", "last byte", "payload"])
def test_a_flipped_bit_makes_rows_missing(filled, tmp_path, place):
    folder, first, second = filled
    flip(first, place)
    reporter = Recorder()
    store = DiskStore(tmp_path, KEY, reporter)
    assert [row(number) in store for number in (1, 2, 3, 4)] == [False, False, True, True]
    assert shards(folder) == [second]
    assert reporter.warned == [f"stored activations in {first.name[:12]}... were damaged; computing them again"]
    add(store, 1, 2)
    store.flush()
    check(DiskStore(tmp_path, KEY, Recorder()), [1, 2, 3, 4])


@pytest.mark.parametrize("kept", [0, 4, 50, -1])
def test_a_truncated_shard_makes_rows_missing(filled, tmp_path, kept):
    folder, first, second = filled
    first.write_bytes(first.read_bytes()[:kept])
    reporter = Recorder()
    store = DiskStore(tmp_path, KEY, reporter)
    assert [row(number) in store for number in (1, 3)] == [False, True]
    assert len(reporter.warned) == 1
    assert shards(folder) == [second]


def test_a_shard_that_is_cut_off_while_open_is_refused(filled, tmp_path):
    _, first, _ = filled
    store = DiskStore(tmp_path, KEY, Recorder())
    with first.open("rb+") as file:
        file.truncate(first.stat().st_size - 100)
    with pytest.raises(CacheError, match="ends too early; run `frostline cache verify`"):
        store.read([row(1), row(2)])


def test_an_open_store_outlives_the_removal_of_its_files(filled, tmp_path):
    _, first, second = filled
    store = DiskStore(tmp_path, KEY, Recorder())
    first.unlink()
    second.unlink()
    check(store, [1, 4])


def test_many_shards_are_read_without_holding_their_files(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "MOST_OPEN", 1)
    folder, *_ = filled
    store = DiskStore(tmp_path, KEY, Recorder())
    check(store, [4, 1, 2, 3])
    for path in shards(folder):
        path.unlink()
    with pytest.raises(CacheError, match="No such file or directory; start the run again, or with --resume"):
        check(store, [1, 2, 3, 4])


def test_foreign_files_are_not_read(filled, tmp_path):
    folder, *_ = filled
    (folder / "notes.txt").write_text("mine")
    save_file({"rows": torch.zeros(1, 16, dtype=torch.uint8)}, folder / "foreign.safetensors")
    store = DiskStore(tmp_path, KEY, Recorder())
    assert bytes(16) not in store
    assert (folder / "notes.txt").read_text() == "mine"
    check(store, [1, 2, 3, 4])


def place(folder, content):
    """Put a file into a store under its own digest."""
    path = folder / "x"
    path.write_bytes(content)
    return path.rename(folder / f"{digest_file(path)}.safetensors")


def tensors(rows=2, ids=None, **values):
    ids = torch.arange(rows * 16, dtype=torch.uint8).view(rows, 16) if ids is None else ids
    return {"rows": ids, **values}


ZEROS = torch.zeros(2, 5)
FOREIGN = {
    "nothing": b"",
    "a long header": b"\xff" * 40,
    "no entries": (8).to_bytes(8, "little") + b"{}      ",
    "deep nesting": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "a pickle": pickle.dumps({"rows": 1}),
    "no store": tensors_save(tensors(value0=ZEROS)),
    "another store's": tensors_save(tensors(value0=ZEROS), metadata={"store": "x"}),
    "no values": tensors_save(tensors(), metadata=HERE),
    "a value too few": tensors_save(tensors(value1=ZEROS), metadata=HERE),
    "another value": tensors_save(tensors(value0=ZEROS, value=ZEROS + 1), metadata=HERE),
    "no ids": tensors_save({"value0": ZEROS}, metadata=HERE),
    "no rows": tensors_save(tensors(0, value0=torch.zeros(0, 5)), metadata=HERE),
    "short ids": tensors_save(tensors(ids=torch.zeros(2, 8, dtype=torch.uint8), value0=ZEROS), metadata=HERE),
    "long ids": tensors_save(tensors(ids=torch.zeros(2, 16), value0=ZEROS), metadata=HERE),
    "more rows than ids": tensors_save(tensors(value0=torch.zeros(3, 5)), metadata=HERE),
    "whole numbers": tensors_save(tensors(value0=ZEROS.long()), metadata=HERE),
    "a number": tensors_save(tensors(value0=torch.tensor(1.0)), metadata=HERE),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_file_that_only_bears_the_name_of_a_shard_is_removed_and_told(filled, tmp_path, case):
    folder, first, second = filled
    path = place(folder, FOREIGN[case])
    with pytest.raises(CacheError, match=f"{path.name[:12]}... do not belong there: "):
        open_shard(path, keep_open=True)
    reporter = Recorder()
    check(DiskStore(tmp_path, KEY, reporter), [1, 2, 3, 4])
    assert shards(folder) == sorted([first, second])
    (warned,) = reporter.warned
    assert warned.startswith(f"stored activations in {path.name[:12]}... do not belong there: ")
    assert warned.endswith("; computing them again")


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 10**15]},
        {"shape": [2, -5]},
        {"shape": [10**9, "a"]},
        {"shape": [2, 5.0]},
        {"shape": []},
        {"shape": 2},
        {"dtype": ["F32"]},
        {"dtype": "F8_E4M3"},
        {"data_offsets": [0, 10**12]},
        {"data_offsets": [40, 0]},
        {"data_offsets": [True, 41]},
        {"data_offsets": "ab"},
        {"data_offsets": [0]},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["rows", "value0"])
def test_a_header_that_promises_what_the_file_does_not_hold_is_refused(tmp_path, name, change):
    content = tensors_save(tensors(value0=ZEROS), metadata=HERE)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header[name] |= change
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    folder = tmp_path / KEY.digest()
    folder.mkdir()
    path = place(folder, len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(CacheError, match="do not belong there"):
        open_shard(path, keep_open=False)


def test_a_shard_of_another_store_is_never_read(filled, tmp_path):
    """Its rows bear the same pictures' names."""
    _, first, _ = filled
    other = DiskStore(tmp_path, replace(KEY, weights="x"), Recorder())
    shutil.copy(first, other.folder)
    reporter = Recorder()
    again = DiskStore(tmp_path, replace(KEY, weights="x"), reporter)
    assert row(1) not in again
    assert "it is another store's; computing them again" in reporter.warned[0]
    assert shards(other.folder) == []


def test_a_shard_of_other_values_is_removed(filled, tmp_path):
    folder, *sound = filled
    for width in range(1, 100):  # until its name comes after a sound one's
        stranger = write_shard(folder, [row(9)], [torch.zeros(1, width)])
        if stranger > min(sound):
            break
        stranger.unlink()
    reporter = Recorder()
    store = DiskStore(tmp_path, KEY, reporter)
    check(store, [1, 2, 3, 4])
    assert row(9) not in store
    assert shards(folder) == sorted(sound)
    reason = f"its values are float32 {width}, not float32 2x3x2, float32 5; computing them again"
    assert reporter.warned == [f"stored activations in {stranger.name[:12]}... do not belong there: {reason}"]


def test_a_shard_that_vanishes_while_a_store_is_opened_is_no_damage(filled, tmp_path, monkeypatch):
    _, first, second = filled
    monkeypatch.setattr(store_module, "shard_paths", lambda folder: [first, folder / "gone.safetensors", second])
    reporter = Recorder()
    check(DiskStore(tmp_path, KEY, reporter), [1, 2, 3, 4])
    assert reporter.warned == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"[" * 10_000, b"\xff", b'{"cut": "layer3"}'])
def test_a_damaged_key_is_mended_and_told(filled, tmp_path, content):
    folder, *_ = filled
    sound = (folder / "key.json").read_bytes()
    (folder / "key.json").write_bytes(content)
    reporter = Recorder()
    check(DiskStore(tmp_path, KEY, reporter), [1, 2, 3, 4])
    assert (folder / "key.json").read_bytes() == sound
    assert reporter.warned == [f"key.json of stored activations {folder.name[:12]}... was damaged; mended"]


def test_who_fills_a_store_sweeps_up_after_the_killed(filled, tmp_path):
    folder, first, second = filled
    names = ["pending.safetensors", ".pending.safetensors.abc.tmp", ".key.json.old.tmp", ".key.json.new.tmp"]
    for name in names:
        (folder / name).write_bytes(b"half")
    os.utime(folder / ".key.json.old.tmp", (1, 1))
    store = DiskStore(tmp_path, KEY, Recorder())
    assert all((folder / name).exists() for name in names), "whoever writes them may be at work"
    with store.filling(Recorder()):
        assert [name for name in names if (folder / name).exists()] == [".key.json.new.tmp"]
    assert shards(folder) == sorted([first, second])


@pytest.mark.parametrize("name", ["pending.safetensors", ".pending.safetensors.abc.tmp", ".x.safetensors"])
def test_half_written_files_are_ignored(filled, tmp_path, name):
    folder, first, _ = filled
    half = folder / name
    half.write_bytes(first.read_bytes()[:70])
    reporter = Recorder()
    check(DiskStore(tmp_path, KEY, reporter), [1, 2, 3, 4])
    assert reporter.warned == []
    assert half.exists()


def test_what_vanishes_while_it_is_swept_up_is_no_trouble(filled, tmp_path, monkeypatch):
    folder, _first, _second = filled
    monkeypatch.setattr(store_module, "half_written", lambda folder: [folder / "gone.tmp"])
    store = DiskStore(tmp_path, KEY, Recorder())
    with store.filling(Recorder()):
        check(store, [1, 2, 3, 4])
    assert (folder / "used").is_file()


def test_a_damaged_shard_may_be_removed_by_another_process_first(filled, tmp_path, monkeypatch):
    _, first, _second = filled
    open_sound = store_module.open_sound

    def removed_meanwhile(path, **options):
        if path == first:
            path.unlink()
            raise CacheError("it is damaged")
        return open_sound(path, **options)

    monkeypatch.setattr(store_module, "open_sound", removed_meanwhile)
    reporter = Recorder()
    check(DiskStore(tmp_path, KEY, reporter), [3, 4])
    assert reporter.warned == ["it is damaged; computing them again"]


def refusing(number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse


def test_what_the_disk_does_not_give_is_computed_again_and_told_once(filled, tmp_path, monkeypatch):
    folder, first, second = filled
    monkeypatch.setattr(store_module, "open_sound", refusing(errno.EIO))
    reporter = Recorder()
    store = DiskStore(tmp_path, KEY, reporter)
    with store.filling(reporter):
        assert [row(number) in store for number in (1, 2, 3, 4)] == [False] * 4
    assert reporter.warned == [
        f"stored activations cannot be read (Input/output error: {min(first, second)}); what is missing is computed "
        "again (`frostline cache verify` removes what stays unreadable)"
    ]
    assert shards(folder) == sorted([first, second]), "a disk that fails once may give them the next time"
    monkeypatch.undo()
    check(DiskStore(tmp_path, KEY, Recorder()), [1, 2, 3, 4])


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", refusing(errno.EACCES))
    with pytest.raises(CacheError, match=r"cannot write activations to .*: Permission denied; free some space"):
        DiskStore(tmp_path, KEY, Recorder())


@pytest.mark.parametrize(("owner", "step"), [(FileLock, "acquire"), (store_module, "half_written")])
def test_a_store_that_cannot_be_filled_is_one_line(tmp_path, monkeypatch, owner, step):
    store = DiskStore(tmp_path, KEY, Recorder())
    monkeypatch.setattr(owner, step, refusing(errno.EROFS))
    with (
        pytest.raises(CacheError, match=r"cannot write activations to .*: Read-only file system; free some space"),
        store.filling(Recorder()),
    ):
        pass


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_too_many_open_files_are_no_fault_of_a_shard(filled, tmp_path, monkeypatch, number):
    monkeypatch.setattr(store_module, "open_sound", refusing(number))
    with pytest.raises(CacheError, match=f"cannot read activations from .*: {os.strerror(number)}; check the disk"):
        DiskStore(tmp_path, KEY, Recorder())


def test_a_folder_that_cannot_be_listed_is_one_line(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "shard_paths", refusing(errno.EIO))
    with pytest.raises(CacheError, match=r"cannot read activations from .*: Input/output error; check the disk"):
        DiskStore(tmp_path, KEY, Recorder())


def test_a_damaged_shard_that_cannot_be_removed_is_done_without(filled, tmp_path, monkeypatch):
    _, first, _ = filled
    flip(first, -1)
    monkeypatch.setattr(Path, "unlink", refusing(errno.EROFS))
    reporter = Recorder()
    store = DiskStore(tmp_path, KEY, reporter)
    assert [row(number) in store for number in (1, 2, 3, 4)] == [False, False, True, True]
    store._open_new_shards()
    assert len(reporter.warned) == 1, "told once"
    check(store, [3, 4])


def test_a_new_shard_that_cannot_be_read_back_is_one_line(tmp_path, monkeypatch):
    store = DiskStore(tmp_path, KEY, Recorder())
    add(store, 1)
    monkeypatch.setattr(store_module, "open_shard", refusing(errno.EIO))
    with pytest.raises(CacheError, match="Input/output error"):
        store.flush()


def test_a_store_that_was_pruned_before_it_is_filled_has_its_key_again(tmp_path):
    store = DiskStore(tmp_path / "activations", KEY, Recorder())
    assert [gone.folder for gone in prune_stores(tmp_path, 0)] == [store.folder]
    reporter = Recorder()
    with store.filling(reporter):
        add(store, 1)
        store.flush()
    assert [(info.folder, info.shards) for info in list_stores(tmp_path)] == [(store.folder, 1)]
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert reporter.warned == []


def test_a_store_that_is_pruned_by_whom_it_waits_for_has_its_key_again(tmp_path):
    store = DiskStore(tmp_path / "activations", KEY, Recorder())
    held, lock = threading.Event(), FileLock(store.folder / "filling.lock")

    def prune():
        with lock:
            held.set()
            time.sleep(0.3)
            shutil.rmtree(store.folder)

    pruning = threading.Thread(target=prune)
    pruning.start()
    held.wait()
    with store.filling(Recorder()):
        add(store, 1)
        store.flush()
    pruning.join()
    assert [(info.folder, info.shards) for info in list_stores(tmp_path)] == [(store.folder, 1)]


def test_who_waits_for_another_run_is_told(tmp_path):
    store, reporter = DiskStore(tmp_path, KEY, Recorder()), Recorder()
    held, lock = threading.Event(), FileLock(store.folder / "filling.lock")

    def hold():
        with lock:
            held.set()
            time.sleep(0.3)

    threading.Thread(target=hold).start()
    held.wait()
    with store.filling(reporter):
        assert reporter.said == ["another run is computing the same activations; waiting for it"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    store = DiskStore(tmp_path, KEY, Recorder())
    add(store, 1)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_shard", refuse)
    with pytest.raises(CacheError) as caught:
        store.flush()
    assert str(caught.value) == (
        f"cannot write activations to {store.folder}: No space left on device; free some space, choose another "
        "--cache-dir, or use --feature-cache ram or off"
    )


def test_a_shard_is_named_after_its_bytes(tmp_path):
    path = write_shard(tmp_path, [row(1), row(2)], values_of([1, 2]))
    assert path.stem == digest_file(path)
    assert list(tmp_path.iterdir()) == [path]
    shard = open_shard(path, keep_open=False)
    assert shard.row_ids == (row(1), row(2))
    assert [(place.dtype, place.shape, place.row_bytes) for place in shard.values] == [
        (torch.float32, (2, 3, 2), 48),
        (torch.float32, (5,), 20),
    ]


def test_more_than_ten_values_keep_their_order(tmp_path):
    store = DiskStore(tmp_path, KEY, Recorder())
    store.add([row(1)], tuple(torch.full((1, 2), float(i)) for i in range(12)))
    store.flush()
    assert [float(value[0, 0]) for value in store.read([row(1)])] == list(range(12))


def test_rows_are_copied_to_memory_once(filled, tmp_path):
    store = DiskStore(tmp_path, KEY, Recorder())
    ram = copy_to_ram(store, [row(number) for number in (4, 1, 4)])
    assert row(2) not in ram
    check(ram, [1, 4, 1])


def test_what_another_process_added_is_seen_when_filling(tmp_path):
    here, there = (DiskStore(tmp_path, KEY, Recorder()) for _ in range(2))
    add(there, 1)
    there.flush()
    assert row(1) not in here
    with here.filling(Recorder()):
        assert row(1) in here
    check(here, [1])


def compute_missing(home, start, computed):
    """What a run does: take the lock, look what is missing, compute it slowly."""
    store, reporter = DiskStore(Path(home), KEY, Recorder()), Recorder()
    start.wait()
    with store.filling(reporter):
        missing = [number for number in range(10) if row(number) not in store]
        for number in missing:
            time.sleep(0.02)
            add(store, number)
        store.flush()
    check(store, list(range(10)))
    computed.put((len(missing), len(reporter.said)))


@pytest.mark.slow
def test_two_processes_compute_each_row_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start, computed = spawn.Barrier(2), spawn.Queue()
    workers = [spawn.Process(target=compute_missing, args=(str(tmp_path), start, computed)) for _ in range(2)]
    for worker in workers:
        worker.start()
    results = sorted(computed.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [count for count, _ in results] == [0, 10]
    assert results[0][1] == 1, "the one that waits says so"
