"""What is told before every training, since checking the pictures shows it anyway; `frostline inspect` looks closer."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from frostline.data.pictures import first_few, natural_key

UNEVEN = 5
"""Times that a class has the pictures of another one from which accuracy hides what becomes of the smaller."""


@dataclass(frozen=True, slots=True)
class Imbalance:
    """The largest and the smallest class of the training pictures."""

    most: str
    many: int
    least: str
    few: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture is told apart by."""

    path: str
    label: str
    split: str
    pixels: str
    """Digest of the decoded picture."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found; pictures by their paths."""

    leaks: list[list[str]]
    """Groups with the same pixels, in more than one split."""
    label_conflicts: list[list[str]]
    """Groups with the same pixels, under more than one label."""
    imbalance: Imbalance | None
    lacking: dict[str, list[str]]
    """By split: classes that it has no picture of."""

    def warnings(self) -> list[str]:
        """Say what was found, in a line each."""
        told = []
        if self.leaks:
            told.append(
                f"{len(self.leaks)} pictures are in more than one split ({' = '.join(self.leaks[0])}), which makes the "
                "accuracy look better than it is; see frostline inspect, or leave them out with --drop-leaks"
            )
        if self.label_conflicts:
            told.append(
                f"{len(self.label_conflicts)} pictures have more than one label ({' = '.join(self.label_conflicts[0])})"
                "; keep the right one of each"
            )
        return [*told, *balance_warnings(self.imbalance, self.lacking)]


def audit(seen: Sequence[Seen]) -> Audit:
    """Look for the same pixels in several places, and at how many pictures each class has."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        groups[one.pixels].append(one)
    return Audit(
        leaks=_apart(groups.values(), lambda one: one.split),
        label_conflicts=_apart(groups.values(), lambda one: one.label),
        imbalance=imbalance(one.label for one in seen if one.split == "train"),
        lacking=lacking((one.label, one.split) for one in seen),
    )


def _apart(groups: Iterable[Sequence[Seen]], kind: Callable[[Seen], str]) -> list[list[str]]:
    """Give, of each group that has several of a kind, the first picture of every one."""
    found = []
    for group in groups:
        first: dict[str, str] = {}
        for one in group:
            first.setdefault(kind(one), one.path)
        if len(first) > 1:
            found.append(list(first.values()))
    return found


def imbalance(labels: Iterable[str]) -> Imbalance | None:
    """Compare the largest and the smallest class; None where they are not so far apart."""
    counts = Counter(labels).most_common()
    if not counts or counts[0][1] < UNEVEN * counts[-1][1]:
        return None
    return Imbalance(*counts[0], *counts[-1])


def lacking(pictures: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Give the classes of the training pictures that validation or test has none of, from (label, split) of each."""
    labels: dict[str, set[str]] = defaultdict(set)
    for label, split in pictures:
        labels[split].add(label)
    found = {name: sorted(labels["train"] - labels[name], key=natural_key) for name in ("val", "test") if labels[name]}
    return {name: classes for name, classes in found.items() if classes}


def balance_warnings(uneven: Imbalance | None, missing: dict[str, list[str]]) -> list[str]:
    """Say what is wrong with how many pictures the classes have, in a line each."""
    told = []
    if uneven:
        told.append(
            f"{uneven.most!r} has {uneven.many} training pictures, {uneven.least!r} {uneven.few}: see balanced "
            "accuracy, not accuracy"
        )
    return [
        *told,
        *(f"{name} has no picture of {first_few(list(map(repr, found)), 5)}" for name, found in missing.items()),
    ]
