"""Sealed files: safetensors whose facts and tensors are covered by one digest.

Safetensors accepts a flipped bit; here it is refused. Nothing is ever unpickled.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    """Write a file, whole or not at all; the file that was there stays until this one is complete."""
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps({"kind": kind, "format": version, **facts})
    metadata = {FACTS: text, SEAL: _seal(text, stored)}
    atomic_write(path, lambda temporary: save_file(stored, temporary, metadata=metadata))


def read_sealed(path: Path, *, kind: str, newest: int) -> tuple[dict[str, Any], Tensors]:
    """Read a file of any format up to the newest, and check its seal.

    Raises:
        BundleError: it is missing, foreign, damaged, or of a later format; says which, and what to give instead.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            facts = json.loads(metadata[FACTS])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise BundleError(f"{path} is damaged, or not a {kind} of frostline ({error}); give another file") from None
    if not isinstance(facts, dict) or facts.get("kind") != kind:
        raise BundleError(f"{path} is not a {kind} of frostline; give a run folder, or a file that a run wrote")
    if facts.get("format") not in range(1, newest + 1):
        raise BundleError(
            f"{path} has format {facts.get('format')}, this version reads up to {newest}; update frostline"
        )
    if metadata.get(SEAL) != _seal(metadata[FACTS], tensors):
        raise BundleError(
            f"{path} is damaged: its content does not match its digest; take another copy, or train again"
        )
    return facts, tensors


def _seal(facts: str, tensors: Mapping[str, Tensor]) -> str:
    return blake3(f"{facts}\n{digest_tensors(tensors)}".encode()).hexdigest()
