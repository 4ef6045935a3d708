"""Shards: safetensors files of rows, named after their own digest, so that each proves what it is."""

import json
import struct
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from frostline.activations.key import ROW_ID_BYTES
from frostline.errors import CacheError
from frostline.files import atomic_write, digest_file

SUFFIX = ".safetensors"
ROWS = "rows"
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


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's rows; `values` tells where each value's rows lie."""

    path: Path
    file: BinaryIO | None
    """Kept open, or None: opened for each read."""
    row_ids: tuple[bytes, ...]
    values: tuple[Place, ...]

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


def write_shard(folder: Path, row_ids: Sequence[bytes], values: Sequence[Tensor]) -> Path:
    """Write rows as a new shard; its name is the BLAKE3 of its bytes.

    Args:
        folder: of the store.
        row_ids: one per row.
        values: each (rows, ...), contiguous, on the CPU.
    """
    ids = torch.from_numpy(np.frombuffer(b"".join(row_ids), dtype=np.uint8).copy()).view(-1, ROW_ID_BYTES)
    tensors = {ROWS: ids} | {f"value{i}": value for i, value in enumerate(values)}
    digests: list[str] = []

    def write(temporary: Path) -> None:
        save_file(tensors, temporary)
        digests.append(digest_file(temporary))

    pending = folder / f"pending{SUFFIX}"
    atomic_write(pending, write)
    final = folder / f"{digests[0]}{SUFFIX}"
    pending.replace(final)
    return final


def is_intact(path: Path) -> bool:
    """Tell whether a shard's bytes are those that its name was made from."""
    return digest_file(path) == path.stem


def open_shard(path: Path, *, keep_open: bool) -> Shard:
    """Open a shard for reading rows.

    Args:
        path: of the shard.
        keep_open: hold the file, so that its rows stay readable even when it is removed.

    Raises:
        CacheError: its header does not describe a shard.
    """
    file: Any = path.open("rb", buffering=0)
    try:
        header, start = _header(file)
        ids = header[ROWS]
        file.seek(start + ids["data_offsets"][0])
        content = file.read(ids["data_offsets"][1] - ids["data_offsets"][0])
        row_ids = tuple(content[i : i + ROW_ID_BYTES] for i in range(0, len(content), ROW_ID_BYTES))
        names = sorted((name for name in header if name.startswith("value")), key=lambda name: int(name[5:]))
        values = tuple(_place(header[name], start) for name in names)
    except (KeyError, ValueError, TypeError, struct.error) as error:
        file.close()
        raise CacheError(f"{path} is not a shard of activations ({error}); run `frostline cache verify`") from None
    if not keep_open:
        file.close()
    return Shard(path, file if keep_open else None, row_ids, values)


def _header(file: BinaryIO) -> tuple[dict[str, dict[str, list[int]]], int]:
    """Read a safetensors header: eight bytes of length, then JSON; offsets in it count from its end."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > 1 << 26:
        raise ValueError(f"a header of {length} bytes")
    return json.loads(file.read(length)), 8 + length


def _place(entry: dict[str, list[int]], start: int) -> Place:
    dtype = _DTYPES[str(entry["dtype"])]
    rows, *shape = entry["shape"]
    begin, end = entry["data_offsets"]
    return Place(dtype, tuple(shape), start + begin, (end - begin) // max(rows, 1))
