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


def note_read(path: Path, by: str, accuracy: float, digests: Iterable[str], *, once: bool = False) -> Read:
    """Append a look at the test split to `test_reads.csv`; those that were there stay.

    Args:
        path: of the file.
        by: the command.
        accuracy: that was seen.
        digests: of the pictures.
        once: where the same command has seen the same accuracy of the same pictures, that is the look: a training that
            was interrupted after it noted its own does not look a second time.
    """
    earlier = _reads(path)
    digest = digest_bytes("\n".join(sorted(digests)).encode())
    for read in earlier if once else ():
        if (read.by, read.accuracy, read.digest) == (by, accuracy, digest):
            return read
    text = path.read_text(encoding="utf-8") if earlier else _line(column.name for column in fields(Read))
    read = Read(len(earlier) + 1, datetime.now(UTC).isoformat(timespec="seconds"), by, accuracy, digest)
    write_text(path, text + _line(astuple(read)))
    return read


def count_reads(path: Path) -> int:
    """How many looks there were; none where there is no such file."""
    return len(_reads(path))


def _reads(path: Path) -> list[Read]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Read(int(row["number"]), row["time"], row["by"], float(row["accuracy"]), row["digest"])
            for row in csv.DictReader(file)
        ]


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
