"""Stores of activation rows, in memory or on disk, behind one small interface."""

import errno
import json
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Protocol

import torch
from filelock import FileLock
from torch import Tensor

from frostline.activations.key import KEY_FILE, StoreKey, read_key
from frostline.activations.shards import Shard, half_written, open_shard, open_sound, shard_paths, write_shard
from frostline.errors import CacheError
from frostline.files import write_text
from frostline.progress import Reporter

SHARD_BYTES = 128 * 10**6
FLUSH_SECONDS = 20.0
"""Rows not yet written after this long are written as a smaller shard: what an interruption can cost."""
MOST_OPEN = 256
"""Files held open at once; systems allow about a thousand."""
USED_FILE = "used"
_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What is no fault of a file that cannot be opened."""

Values = tuple[Tensor, ...]


class Store(Protocol):
    """Rows of activations by their ids; a row is a tuple of tensors."""

    def __contains__(self, row: bytes) -> bool:
        """Tell whether a row is there."""

    def add(self, rows: Sequence[bytes], values: Values) -> None:
        """Add rows; each value is (rows, ...) on the CPU."""

    def flush(self) -> None:
        """Make all added rows readable."""

    def read(self, rows: Sequence[bytes]) -> Values:
        """Give rows as a batch: each value is (rows, ...), newly allocated."""

    def filling(self, reporter: Reporter) -> AbstractContextManager[None]:
        """Keep others from computing the same rows meanwhile."""


class RamStore:
    """Rows in memory, gone with the process."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}
        self._count = 0
        self._parts: list[Values] = []
        self._values: Values = ()

    def __contains__(self, row: bytes) -> bool:
        """Tell whether a row is there."""
        return row in self._number

    def add(self, rows: Sequence[bytes], values: Values) -> None:
        """Add rows."""
        self._number.update({row: self._count + i for i, row in enumerate(rows)})
        self._count += len(rows)
        self._parts.append(values)

    def flush(self) -> None:
        """Join what was added into one tensor per value."""
        if self._parts:
            parts = [self._values, *self._parts] if self._values else self._parts
            self._values = tuple(torch.cat(column) for column in zip(*parts, strict=True))
            self._parts = []

    def read(self, rows: Sequence[bytes]) -> Values:
        """Give rows as a batch."""
        numbers = torch.tensor([self._number[row] for row in rows])
        return tuple(value[numbers] for value in self._values)

    def filling(self, reporter: Reporter) -> AbstractContextManager[None]:
        """Nobody else can see this store."""
        return nullcontext()


class DiskStore:
    """Rows in shards on disk, shared by all processes of the user.

    Shards are only ever added or removed whole. What is damaged or another store's is removed when the store is opened;
    its rows are then missing and computed again, as are those of what the disk does not give.
    """

    def __init__(self, home: Path, key: StoreKey, reporter: Reporter) -> None:
        self.folder, self._key = home / key.digest(), key
        self._reporter = reporter
        self._place: dict[bytes, tuple[Shard, int]] = {}
        self._opened: set[Path] = set()
        self._given_up: set[Path] = set()
        self._is_unreadable = False
        self._first: Shard | None = None
        self._files: list[BinaryIO] = []
        weakref.finalize(self, _close_all, self._files)
        self._pending_rows: list[bytes] = []
        self._pending: list[Values] = []
        self._pending_bytes = 0
        self._pending_since = time.monotonic()
        try:
            self._begin()
        except OSError as error:
            raise self._unusable("write", error) from None
        self._open_new_shards()

    def __contains__(self, row: bytes) -> bool:
        """Tell whether a row is on disk and readable."""
        return row in self._place

    def add(self, rows: Sequence[bytes], values: Values) -> None:
        """Take rows; they are written when a shard is full or some time has passed."""
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending_rows.extend(rows)
        self._pending.append(values)
        self._pending_bytes += sum(value.nbytes for value in values)
        if self._pending_bytes >= SHARD_BYTES or time.monotonic() - self._pending_since >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        if not self._pending:
            return
        values = tuple(torch.cat(column) for column in zip(*self._pending, strict=True))
        rows, self._pending_rows, self._pending, self._pending_bytes = self._pending_rows, [], [], 0
        try:
            path = write_shard(self.folder, rows, values)
            self._take(open_shard(path, keep_open=self._has_room))
        except OSError as error:
            raise self._unusable("write", error) from None

    def read(self, rows: Sequence[bytes]) -> Values:
        """Give rows as a batch."""
        first, _ = self._place[rows[0]]
        batch = tuple(torch.empty(len(rows), *place.shape, dtype=place.dtype) for place in first.values)
        for i, row in enumerate(rows):
            shard, number = self._place[row]
            shard.read_row(number, [value[i] for value in batch])
        return batch

    @contextmanager
    def filling(self, reporter: Reporter) -> Iterator[None]:
        """Hold the store's lock; on entry, see what others have added, and sweep up after those that were killed.

        Raises:
            CacheError: the folder cannot be written to.
        """
        lock = FileLock(self.folder / "filling.lock")
        try:
            self._begin()
            if not _acquire_at_once(lock):
                reporter.say("another run is computing the same activations; waiting for it")
                self._wait_for(lock)
        except OSError as error:
            raise self._unusable("write", error) from None
        try:
            self._prepare_to_fill()
            yield
        finally:
            lock.release()

    def _wait_for(self, lock: FileLock) -> None:
        try:
            lock.acquire()
        except FileNotFoundError:  # who held it has pruned the store
            self._begin()
            lock.acquire()

    def _prepare_to_fill(self) -> None:
        """Sweep up, and see what others have added; who pruned the store meanwhile took its key too."""
        try:
            self._begin()
            for path in half_written(self.folder):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable("write", error) from None
        self._open_new_shards()

    def _unusable(self, verb: str, error: OSError) -> CacheError:
        preposition, remedy = ("to", "free some space") if verb == "write" else ("from", "check the disk")
        return CacheError(
            f"cannot {verb} activations {preposition} {self.folder}: {error.strerror or error}; {remedy}, choose "
            "another --cache-dir, or use --feature-cache ram or off"
        )

    def _begin(self) -> None:
        """Have a folder that its user alone can read, the store's key in it, and its time of use."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._keep_key()
        with suppress(OSError):  # a store may be read where it cannot be written
            (self.folder / USED_FILE).touch()

    def _keep_key(self) -> None:
        """Write what the store belongs to, for people and housekeeping; once, unless it is damaged."""
        path = self.folder / KEY_FILE
        if read_key(self.folder) is None:
            if path.exists():
                self._reporter.warn(f"{KEY_FILE} of stored activations {self.folder.name[:12]}... was damaged; mended")
            write_text(path, json.dumps(asdict(self._key), indent=1))

    def _open_new_shards(self) -> None:
        try:
            for path in shard_paths(self.folder):
                if path not in self._opened and path not in self._given_up:
                    self._open(path)
        except OSError as error:
            raise self._unusable("read", error) from None

    def _open(self, path: Path) -> None:
        """Check a shard and take its rows, or do without them."""
        try:
            self._take(open_sound(path, like=self._first, keep_open=self._has_room))
        except FileNotFoundError:  # removed meanwhile, by another process or by the user
            return
        except OSError as error:
            if error.errno in _LIMITS:
                raise
            if not self._is_unreadable:  # a failing disk has many
                self._reporter.warn(
                    f"stored activations cannot be read ({error.strerror or error}: {path}); what is missing is "
                    "computed again (`frostline cache verify` removes what stays unreadable)"
                )
            self._is_unreadable = True
            self._given_up.add(path)
        except CacheError as error:
            self._given_up.add(path)
            with suppress(OSError):  # on a disk that can only be read it stays, and is not looked at again
                path.unlink(missing_ok=True)
            self._reporter.warn(f"{error}; computing them again")

    @property
    def _has_room(self) -> bool:
        return len(self._opened) < MOST_OPEN

    def _take(self, shard: Shard) -> None:
        self._first = self._first or shard
        self._opened.add(shard.path)
        if shard.file:
            self._files.append(shard.file)
        self._place.update({row: (shard, number) for number, row in enumerate(shard.row_ids)})


def _close_all(files: Sequence[BinaryIO]) -> None:
    for file in files:
        file.close()


def _acquire_at_once(lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def copy_to_ram(store: Store, rows: Sequence[bytes]) -> RamStore:
    """Read rows into memory, in pieces."""
    ram = RamStore()
    wanted = list(dict.fromkeys(rows))
    for i in range(0, len(wanted), 1024):
        piece = wanted[i : i + 1024]
        ram.add(piece, store.read(piece))
    ram.flush()
    return ram
