"""What differs between the pictures that a run began with and those that are there now, told by content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frostline.data.index import Image, Index


@dataclass(frozen=True, slots=True)
class Difference:
    """One picture that is not what it was."""

    path: str
    change: str
    """added, removed, cannot be used any more, edited, moved to PATH, label A is now B, split A is now B."""

    def __str__(self) -> str:
        """Path and change."""
        return f"{self.path}: {self.change}"


def differences(before: Sequence[Mapping[str, str]], index: Index) -> list[Difference]:
    """Compare a run's `split.csv` with the pictures as they are.

    Args:
        before: rows with path, label, split, group and digest.
        index: of the pictures now; sizes and times of files play no part, only contents do.
    """
    known, now = {row["path"]: row for row in before}, {image.path: image for image in index.images}
    left = {item.path: item.reason for item in index.left_out}
    gone = [row for path, row in known.items() if path not in now]
    new = {image.path: image for path, image in now.items() if path not in known}
    found: list[Difference] = []
    for row in gone:
        moved = next((image.path for image in new.values() if image.digest == row["digest"]), None)
        if moved is not None:
            del new[moved]
        found.append(Difference(row["path"], _fate(row["path"], moved, left)))
    found += [Difference(path, "added") for path in new]
    both = [(known[path], image) for path, image in now.items() if path in known]
    return found + [Difference(image.path, how) for row, image in both if (how := _edit(row, image, index.classes))]


def _fate(path: str, moved: str | None, left: Mapping[str, str]) -> str:
    if moved is not None:
        return f"moved to {moved}"
    return f"cannot be used any more ({left[path]})" if path in left else "removed"


def _edit(row: Mapping[str, str], image: Image, classes: Sequence[str]) -> str:
    """What was done to a picture that is where it was; empty where nothing was."""
    if row["digest"] != image.digest:
        return "edited"
    now = {"label": classes[image.label], "split": image.split, "group": image.group or ""}
    changed = [
        f"{name} {row.get(name, '')!r} is now {value!r}" for name, value in now.items() if row.get(name) != value
    ]
    return ", ".join(changed)
