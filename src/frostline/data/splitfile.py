"""`split.csv`: which picture is in which split, with its digest; `skipped.csv`: what was left out, and why."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from frostline.data.drift import Difference
from frostline.data.index import Index
from frostline.errors import BundleError

OUTCOMES = ("skipped", "refused", "ignored")
"""The order of the rows of `skipped.csv`, for what is damaged matters most."""


def split_csv(index: Index) -> str:
    """Write the split as CSV: path, label, split, group, digest."""
    rows = ((i.path, index.classes[i.label], i.split, i.group or "", i.digest) for i in index.images)
    return _csv(("path", "label", "split", "group", "digest"), rows)


def skipped_csv(index: Index) -> str:
    """Write what is not used as CSV: path, outcome (skipped: damaged, refused: not allowed, or ignored), reason."""
    rows = [(one.path, one.outcome, one.reason) for one in index.left_out]
    return _csv(("path", "outcome", "reason"), sorted(rows, key=lambda row: OUTCOMES.index(row[1])))


def differences_csv(found: Iterable[Difference]) -> str:
    """Write which pictures are not what they were as CSV: path, change."""
    return _csv(("path", "change"), ((one.path, one.change) for one in found))


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_split(path: Path) -> list[dict[str, str]]:
    """Read `split.csv` back.

    Raises:
        BundleError: it is missing or is not what a run writes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BundleError(f"cannot read {path}: {error}; give the folder of a run that began") from None
    if not rows or not {"path", "split", "digest"} <= rows[0].keys():
        raise BundleError(f"{path} is not the split of a run; give the folder that training made")
    return rows
