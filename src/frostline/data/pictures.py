"""What every source of pictures has in common: the row, the protocol, the natural order, files on a disk."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from frostline.errors import DecodeError

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""The split that each accepted name (in lower case) stands for."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture of a source."""

    path: str
    """As shown to the user: relative to DATA with "/", e.g. "ants/12.jpg"; for a named set e.g. "train/00012"."""
    label: str
    split: str | None = None
    """"train", "val" or "test"; None where DATA gives no split."""
    group: str | None = None
    """Pictures of one group (a patient, a burst) must not be torn apart by a split."""


class Source(Protocol):
    """Where pictures come from; can be pickled, so that loader processes can read too."""

    @property
    def name(self) -> str:
        """Short name, for the default run folder."""

    @property
    def pictures(self) -> Sequence[Picture]:
        """Folders in natural order, manifests and named sets in their own."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class order where DATA itself defines one, else None."""

    @property
    def ignored(self) -> Sequence[str]:
        """Visible files that were left out, relative to DATA."""

    def read(self, position: int) -> bytes | np.ndarray:
        """Give the encoded bytes of a file, or uint8 pixels HxW or HxWx3.

        Raises:
            DecodeError: the picture cannot be read (any more).
        """


@dataclass(frozen=True, eq=False)
class FileSource:
    """Pictures that are files on a disk."""

    name: str
    pictures: Sequence[Picture]
    root: Path
    """Absolute; the paths of the pictures are relative to it, or absolute."""
    classes: tuple[str, ...] | None = None
    ignored: list[str] = field(default_factory=list)

    def read(self, position: int) -> bytes:
        """Give the bytes of the file."""
        return read_file(self.root / self.pictures[position].path)


def read_file(path: Path) -> bytes:
    """Read a whole file; what the system refuses is a DecodeError, so that the picture can be left out."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DecodeError(f"cannot be opened: {error.strerror or error}") from error


def natural_key(text: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Sort key with img2 before img10, whatever the case; the text itself breaks ties.

    A number compares by how many digits it has, then by the digits: no length is too long for that.
    """
    parts = re.split(r"([0-9]+)", text.casefold())
    parts[1::2] = (digits.lstrip("0") for digits in parts[1::2])
    return tuple((len(part) if place % 2 else 0, part) for place, part in enumerate(parts)), text


def path_key(path: str) -> tuple[object, ...]:
    """Sort key for paths with "/": part by part in natural order."""
    return tuple(natural_key(part) for part in path.split("/"))


def short_name(text: str) -> str:
    """Make a name that can stand in a folder name anywhere."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "data"


def first_few(items: Sequence[object], count: int = 3) -> str:
    """List the first items and say how many more there are."""
    shown = ", ".join(str(item) for item in items[:count])
    return shown if len(items) <= count else f"{shown} and {len(items) - count} more"
