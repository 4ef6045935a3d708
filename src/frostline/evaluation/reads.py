"""Each look at the test split, written down: a number that was looked at before a choice is no longer a test's."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from frostline.files import digest_bytes, write_text


@dataclass(frozen=True, slots=True)
class Read:
    """One look at the test split."""

    number: int
    """1 is the training's own."""
    time: str
    """In UTC, ISO 8601."""
    by: str
    """The command."""
    accuracy: float
    digest: str
    """Of the pictures' digests."""


def note_read(path: Path, by: str, accuracy: float, digests: Iterable[str]) -> Read:
    """Append a look at the test split to `test_reads.csv`; those that were there stay."""
    text = path.read_text(encoding="utf-8") if path.is_file() else _line(column.name for column in fields(Read))
    number = count_reads(path) + 1
    digest = digest_bytes("\n".join(sorted(digests)).encode())
    read = Read(number, datetime.now(UTC).isoformat(timespec="seconds"), by, accuracy, digest)
    write_text(path, text + _line(astuple(read)))
    return read


def count_reads(path: Path) -> int:
    """How many looks there were; none where there is no such file."""
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
