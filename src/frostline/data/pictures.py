"""What every source of pictures has in common: the row, the protocol, the natural order, files on a disk."""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from frostline.errors import DataError, DecodeError

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""The split that each accepted name (in lower case) stands for."""
MORE_FILES = "raise the limit with `ulimit -n`, or read in fewer processes: --workers 0"


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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not used, and why."""

    path: str
    """As a picture's."""
    outcome: Literal["skipped", "refused", "ignored"]
    """Skipped: damaged. Refused: sound, but not allowed. Ignored: no picture by its name or place."""
    reason: str


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
    def ignored(self) -> Sequence[LeftOut]:
        """Files of DATA that are no pictures by their names or places: with the pictures, all that there are."""

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
    ignored: Sequence[LeftOut] = ()

    def read(self, position: int) -> bytes:
        """Give the bytes of the file."""
        return read_file(self.root / self.pictures[position].path)


def read_file(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        DecodeError: the system refuses, or the file is too large for memory, so that the picture can be left out.
        DataError: too many files are open, which is not the picture's fault.
    """
    try:
        return path.read_bytes()
    except MemoryError as error:
        raise DecodeError("the file is larger than the memory that reading it may take") from error
    except (OSError, ValueError) as error:  # the latter for a path that holds a zero byte
        check_open_files(error)
        raise DecodeError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def check_open_files(error: Exception) -> None:
    """Raise a DataError where an error means that no more files can be opened: no picture is damaged by that."""
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
        raise DataError(f"too many open files; {MORE_FILES}") from error


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
