"""Shards: safetensors files of rows, named after their own digest, so that each proves what it is."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from frostline.activations.key import ROW_ID_BYTES
from frostline.errors import CacheError
from frostline.files import atomic_write, digest_file
from frostline.sealed import METADATA, read_header, save_tensors

SUFFIX = ".safetensors"
PENDING = f"pending{SUFFIX}"
STALE_SECONDS = 3600
ROWS, VALUE, STORE = "rows", "value", "store"
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of a shard's tensors lies in its file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    """Of one row."""
    offset: int
    """Of the first row, in bytes from the start of the file."""
    row_bytes: int

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {'x'.join(map(str, self.shape)) or 'scalar'}"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's rows; `values` tells where each value's rows lie."""

    path: Path
    file: BinaryIO | None
    """Kept open, or None: opened for each read."""
    row_ids: tuple[bytes, ...]
    values: tuple[Place, ...]

    @property
    def layout(self) -> tuple[str, ...]:
        """Type and shape of each value; the same in every shard of a store."""
        return tuple(map(str, self.values))

    def read_row(self, row: int, into: Sequence[Tensor]) -> None:
        """Copy one row of each value into contiguous tensors of the value's shape and type.

        Plain reads, not a memory map: mapped pages count as the process's own memory, and a file that another process
        truncates would kill this one.

        Raises:
            CacheError: the file has gone, or ends too early.
        """
        try:
            with nullcontext(self.file) if self.file else self.path.open("rb", buffering=0) as file:
                whole = all(
                    self._read(file, row, place, target) for place, target in zip(self.values, into, strict=True)
                )
        except OSError as error:
            raise CacheError(
                f"cannot read {self.path}: {error.strerror}; start the run again, or with --resume"
            ) from None
        if not whole:
            raise CacheError(f"{self.path} ends too early; run `frostline cache verify` and start again")

    def _read(self, file: Any, row: int, place: Place, target: Tensor) -> bool:
        file.seek(place.offset + row * place.row_bytes)
        return bool(file.readinto(target.view(torch.uint8).numpy().reshape(-1).data) == place.row_bytes)


def shard_paths(folder: Path) -> list[Path]:
    """Give the files of a store that are complete and called like shards, in order of their names."""
    found = (path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    return sorted(path for path in found if not path.name.startswith((".", "pending")))


def half_written(folder: Path) -> list[Path]:
    """Give what processes that were killed while they wrote left behind.

    Shards are written by whoever holds the store's lock, and that is the caller; other files by anybody, in a moment.
    """
    shards = [folder / PENDING, *folder.glob(f".{PENDING}.*.tmp")]
    others = [path for path in folder.glob(".*.tmp") if time.time() - path.stat().st_mtime > STALE_SECONDS]
    return [path for path in {*shards, *others} if path.is_file()]


def write_shard(folder: Path, row_ids: Sequence[bytes], values: Sequence[Tensor]) -> Path:
    """Write rows as a new shard; its name is the BLAKE3 of its bytes, and in its header stands the store's.

    Args:
        folder: of the store.
        row_ids: one per row.
        values: each (rows, ...), contiguous, on the CPU.
    """
    ids = torch.from_numpy(np.frombuffer(b"".join(row_ids), dtype=np.uint8).copy()).view(-1, ROW_ID_BYTES)
    tensors = {ROWS: ids} | {f"{VALUE}{i}": value for i, value in enumerate(values)}
    digests: list[str] = []

    def write(temporary: Path) -> None:
        save_tensors(tensors, temporary, {STORE: folder.name})
        digests.append(digest_file(temporary))

    pending = folder / PENDING
    atomic_write(pending, write)
    final = folder / f"{digests[0]}{SUFFIX}"
    pending.replace(final)
    return final


def open_sound(path: Path, *, like: Shard | None, keep_open: bool) -> Shard:
    """Open a shard after checking that it is whole and belongs where it lies.

    Args:
        path: of the shard.
        like: another of the same store, whose values must be of the same types and shapes.
        keep_open: as for `open_shard`.

    Raises:
        CacheError: its bytes are not those that its name was made from, it is no shard, or it is another store's.
        FileNotFoundError: it has gone meanwhile.
    """
    if digest_file(path) != path.stem:
        raise CacheError(f"stored activations in {_short(path)} were damaged")
    shard = open_shard(path, keep_open=keep_open)
    if like and shard.layout != like.layout:
        if shard.file:
            shard.file.close()
        raise CacheError(_foreign(path, f"its values are {', '.join(shard.layout)}, not {', '.join(like.layout)}"))
    return shard


def open_shard(path: Path, *, keep_open: bool) -> Shard:
    """Open a shard for reading rows.

    Args:
        path: of the shard.
        keep_open: hold the file, so that its rows stay readable even when it is removed.

    Raises:
        CacheError: its header does not describe a shard of the store that it lies in.
    """
    file: Any = path.open("rb", buffering=0)
    try:
        row_ids, values = _contents(file, path.parent.name)
    except (LookupError, ValueError, TypeError) as error:
        file.close()
        raise CacheError(_foreign(path, str(error))) from None
    if not keep_open:
        file.close()
    return Shard(path, file if keep_open else None, row_ids, values)


def _foreign(path: Path, reason: str) -> str:
    return f"stored activations in {_short(path)} do not belong there: {reason}"


def _short(path: Path) -> str:
    return f"{path.name[:12]}..."


def _contents(file: BinaryIO, store: str) -> tuple[tuple[bytes, ...], tuple[Place, ...]]:
    """Read what a shard holds: the ids of its rows, and where its values lie."""
    header, start = read_header(file)
    if header.pop(METADATA) != {STORE: store}:
        raise ValueError("it is another store's")
    room = os.fstat(file.fileno()).st_size - start
    row_ids = _row_ids(file, header.pop(ROWS), start, room)
    if not header or header.keys() != {f"{VALUE}{i}" for i in range(len(header))}:
        raise ValueError(f"its values are {', '.join(header) or 'none'}")
    values = (_place(header[f"{VALUE}{i}"], len(row_ids), start, room) for i in range(len(header)))
    return row_ids, tuple(values)


def _row_ids(file: BinaryIO, entry: Mapping[str, Any], start: int, room: int) -> tuple[bytes, ...]:
    begin, end = _span(entry, 1, room)
    if entry["dtype"] != "U8" or entry["shape"] != [(end - begin) // ROW_ID_BYTES, ROW_ID_BYTES] or begin == end:
        raise ValueError(f"its row ids are {entry['dtype']} {entry['shape']}")
    file.seek(start + begin)
    content = file.read(end - begin)
    return tuple(content[i : i + ROW_ID_BYTES] for i in range(0, len(content), ROW_ID_BYTES))


def _place(entry: Mapping[str, Any], rows: int, start: int, room: int) -> Place:
    dtype = _DTYPES[entry["dtype"]]
    begin, end = _span(entry, dtype.itemsize, room)
    there, *shape = entry["shape"]
    if there != rows:
        raise ValueError(f"a value has {there} rows of {rows}")
    return Place(dtype, tuple(shape), start + begin, (end - begin) // rows)


def _span(entry: Mapping[str, Any], item_bytes: int, room: int) -> tuple[int, int]:
    """Where an entry's bytes begin and end, once its shape agrees with that and both with the file's size."""
    begin, end = entry["data_offsets"]
    numbers = [begin, end, *entry["shape"]]
    if not all(type(number) is int and 0 <= number <= room for number in numbers):
        raise ValueError(f"its shape and offsets are {numbers} in {room} bytes")
    if end - begin != math.prod(entry["shape"]) * item_bytes:
        raise ValueError(f"a tensor of {entry['shape']} lies in {end - begin} bytes")
    return begin, end
