"""Compiled networks, kept from one process to the next: compiling takes seconds, reading what came of it a moment."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frostline.errors import BundleError
from frostline.sealed import read_sealed, write_sealed

FOLDER = "compiled"
LIMIT = 500_000_000
"""Bytes of all that is kept; what was used longest ago makes room."""
_KIND, _VERSION, _CONTENT = "compiled network", 1, "content"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of compiled networks, each in a sealed file named after everything that it depends on.

    It only saves time: what cannot be written is not kept, and what cannot be read is not there.
    """

    folder: Path

    def take(self, name: str) -> tuple[dict[str, Any], bytes] | None:
        """Give a network with its facts; None where there is no sound one."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            facts, tensors = read_sealed(path, kind=_KIND, newest=_VERSION)
        except BundleError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return facts, tensors[_CONTENT].numpy().tobytes()

    def put(self, name: str, content: bytes, facts: Mapping[str, Any]) -> None:
        """Keep a network, unless it would take more than half of the room."""
        if len(content) > LIMIT // 2:
            return
        tensors = {_CONTENT: _as_tensor(content)}
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_sealed(self._path(name), tensors, facts, kind=_KIND, version=_VERSION)
            self._make_room()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _make_room(self) -> None:
        total = 0
        for path in sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True):
            total += path.stat().st_size
            if total > LIMIT:
                path.unlink(missing_ok=True)


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
