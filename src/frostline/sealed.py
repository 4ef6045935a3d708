"""Sealed files: safetensors whose facts and tensors are covered by one digest.

Safetensors accepts a flipped bit; here it is refused, in the header's spaces too. Nothing is ever unpickled.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from frostline.errors import BundleError
from frostline.files import atomic_write

Tensors = dict[str, Tensor]

FACTS = "frostline"
SEAL = "seal"
METADATA = "__metadata__"
"""Safetensors' name for the entry of its header that describes no tensor."""
MOST_HEADER = 1 << 26
"""Bytes that a header may take; it is parsed whole before anything in it can be believed."""
MODEL_FORMAT = 3
"""Of bundles; read as starting weights too. Format 1 had no resize, mean, deviation or test views of the user's, format
2 no temperature."""


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digest names, types, shapes and bytes; the order of the entries does not matter."""
    hasher = blake3()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hasher.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def write_sealed(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, kind: str, version: int
) -> None:
    """Write a file, whole or not at all; the file that was there stays until this one reads back as it was meant.

    Raises:
        BundleError: it does not.
        OSError: the system refuses.
    """
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps({"kind": kind, "format": version, **facts})
    metadata = {FACTS: text, SEAL: _seal(text, stored)}

    def write(temporary: Path) -> None:
        save_tensors(stored, temporary, metadata)
        found, again = _read(temporary, MOST_HEADER)
        if found != metadata or _seal(text, again) != metadata[SEAL]:
            raise BundleError(f"{path} does not read back as it was written; check the disk and the memory")

    atomic_write(path, write)


def save_tensors(tensors: Tensors, path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file.

    Args:
        tensors: contiguous, on the CPU.
        path: of the file.
        metadata: of its header.

    Raises:
        OSError: the system refuses; safetensors' own error hides its number in a text.
    """
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_sealed(
    path: Path, *, kind: str, newest: int, most_header: int = MOST_HEADER
) -> tuple[dict[str, Any], Tensors]:
    """Read a file of any format up to the newest, and check its seal; any changed byte is refused.

    Args:
        path: of the file.
        kind: what it must be.
        newest: format that this version writes.
        most_header: bytes that its header may take.

    Raises:
        BundleError: it is missing, foreign, damaged, or of a later format; says which, and what to give instead.
    """
    try:
        metadata, tensors = _read(path, most_header)
        facts = json.loads(metadata[FACTS])
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise BundleError(f"{path} is damaged, or not a {kind} of frostline ({error}); give another file") from None
    if not isinstance(facts, dict) or facts.get("kind") != kind:
        raise BundleError(f"{path} is not a {kind} of frostline; give a run folder, or a file that a run wrote")
    if facts.get("format") not in range(1, newest + 1):
        raise BundleError(
            f"{path} has format {facts.get('format')!r}, this version reads up to {newest}; update frostline"
        )
    if metadata != {FACTS: metadata[FACTS], SEAL: _seal(metadata[FACTS], tensors)}:
        raise BundleError(
            f"{path} is damaged: its content does not match its digest; take another copy, or train again"
        )
    return facts, tensors


def read_header(file: BinaryIO, most: int = MOST_HEADER) -> tuple[dict[str, Any], int]:
    """Read a safetensors header as its writer wrote it: eight bytes of length, JSON, spaces up to a multiple of 8.

    JSON that means the same but is spelled otherwise (a name twice, spaces, escapes) is refused, so every byte counts.

    Args:
        file: at its beginning.
        most: bytes that the header may take.

    Returns:
        Its entries by name, and where the tensors' bytes begin in the file; the offsets of entries count from there.

    Raises:
        ValueError: it is no such header.
    """
    size = file.read(8)
    length = int.from_bytes(size, "little")
    if len(size) < 8 or length > most:
        raise ValueError(f"its header is to take {length} bytes, and may take {most}")
    text = file.read(length)
    try:
        entries = json.loads(text.decode())
        written = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("its header is nested too deep") from None
    if text != written + b" " * (-len(written) % 8) or not isinstance(entries, dict):
        raise ValueError("its header is not as a writer writes it")
    return entries, 8 + length


def _read(path: Path, most_header: int) -> tuple[dict[str, str], Tensors]:
    with path.open("rb") as plain:
        metadata = read_header(plain, most_header)[0][METADATA]
    with safe_open(path, "pt") as file:
        return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict


def _seal(facts: str, tensors: Mapping[str, Tensor]) -> str:
    return blake3(f"{facts}\n{digest_tensors(tensors)}".encode()).hexdigest()
