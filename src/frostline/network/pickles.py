"""Weights in pickles (.pth, .pt): read by torch's `weights_only` reader alone, and taken over into safetensors.

A pickle is a program. That reader runs nothing of it but a short list of what makes tensors; there is no other way in.
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from frostline.errors import WeightsError
from frostline.files import atomic_write
from frostline.sealed import save_tensors

State = dict[str, Tensor]

# What torch's and safetensors' readers were seen to raise on damaged bytes.
READ_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    SafetensorError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)

_ZIP = b"PK\x03\x04"
_MOST_SHARED = 8
"""Times that all tensors may be larger than their file: some share their numbers, or one number is shown many times."""


@dataclass(frozen=True, slots=True)
class Unpickled:
    """What a pickle held."""

    state: State
    left_out: tuple[str, ...]
    """Names of the entries that are no plain tensors, and of those beside the state dict."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What taking a pickle over gave."""

    path: Path
    """Of the safetensors file."""
    tensors: int
    bytes: int
    left_out: tuple[str, ...]
    """As in `Unpickled`."""


def is_pickle(path: Path) -> bool:
    """Tell by its first bytes whether a file is what `torch.save` or pickle writes, whatever its name."""
    with path.open("rb") as file:
        start = file.read(9)
    protocol = start[:1] == b"\x80" and start[1:2] <= b"\x05" and start[8:] != b"{"  # safetensors: a length, then {
    return start.startswith(_ZIP) or protocol


def import_weights(path: Path, out: Path | None = None) -> Imported:
    """Write the tensors of a pickle to a safetensors file.

    Args:
        path: of the pickle.
        out: of the new file; None is beside the pickle, with the ending .safetensors.

    Raises:
        WeightsError: the pickle asks for more than tensors, is damaged, or holds no state dict; or `out` is there.
    """
    target = path.with_suffix(".safetensors") if out is None else out
    if not path.is_file():
        raise WeightsError(f"no file at {path}; give the .pth or .pt file that holds the weights")
    if target.suffix != ".safetensors":
        raise WeightsError(f"--out {target} must end in .safetensors, by which the file is known")
    if target.exists():
        raise WeightsError(f"{target} exists already; choose another file with --out, or give it to --weights as it is")
    found = read_pickle(path)
    stored = {
        name: found.state.pop(name).detach().clone(memory_format=torch.contiguous_format) for name in [*found.state]
    }
    try:
        atomic_write(target, lambda temporary: save_tensors(stored, temporary, {"format": "pt"}))
    except READ_ERRORS as error:
        raise WeightsError(f"cannot write {target}: {reason(error)}; choose another file with --out") from None
    return Imported(target, len(stored), sum(tensor.nbytes for tensor in stored.values()), found.left_out)


def read_pickle(path: Path) -> Unpickled:
    """Read the state dict of a pickle: the top level, or what stands there under `state_dict` or `model`.

    Raises:
        WeightsError: it asks for more than tensors and plain values, is damaged, or holds no state dict.
    """
    try:
        if not is_pickle(path):
            raise WeightsError(f"{path} is not a file of torch.save; a .safetensors file goes to --weights as it is")
        _refuse_unpacking(path)
        with warnings.catch_warnings(action="ignore"):  # torch on odd tensors, which are left out
            content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except READ_ERRORS as error:
        raise WeightsError(f"cannot read weights from {path}: {_refused(error) or reason(error)}") from None
    found = _tensors_of(content, path)
    most = _MOST_SHARED * path.stat().st_size
    if sum(tensor.nbytes for tensor in found.state.values()) > most:
        raise WeightsError(f"{path} promises tensors of more than {most:,} bytes, {_MOST_SHARED} times its own size")
    return found


def reason(error: Exception) -> str:
    """First line of an error's text, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse_unpacking(path: Path) -> None:
    """Refuse an archive whose entries are larger than itself: torch writes them uncompressed."""
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path} holds compressed entries, which torch.save never writes; save the weights anew")


def _refused(error: Exception) -> str:
    """Name what a pickle asked for, where torch refused that."""
    phrase = r"(?:GLOBAL|unrecognized function|but got) (\S.*?)(?: was not | whose module |$)"
    asked = re.search(phrase, str(error), re.MULTILINE)
    if asked is None:
        return ""
    return (
        f"it asks for {asked[1][:100]}, which is not on torch's list of what only makes tensors; save "
        "model.state_dict() alone with torch.save, and import that file"
    )


def _tensors_of(content: Any, path: Path) -> Unpickled:
    left_out: list[str] = []
    for name in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            left_out += [str(other) for other in content if other != name]
            content = content[name]
    entries = content if isinstance(content, Mapping) else {}
    kept = {name: value for name, value in entries.items() if isinstance(name, str) and _is_plain(value)}
    left_out += [str(name) for name in entries if name not in kept]
    state = {name.removeprefix("module."): value for name, value in kept.items()}
    if not state or len(state) < len(kept):
        raise WeightsError(
            f"{path} holds no state dict (names to tensors, none twice); save model.state_dict() and import that file"
        )
    return Unpickled(state, tuple(left_out))


def _is_plain(value: object) -> bool:
    """Tell whether a value is a tensor of numbers in memory, not a sparse, quantised, nested or empty shell of one."""
    if not isinstance(value, Tensor):
        return False
    dense = value.layout == torch.strided and value.device.type == "cpu"
    return dense and not value.is_quantized and not value.is_nested
