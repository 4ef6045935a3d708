"""Seeded, stratified, grouped splits that do not move when pictures are added.

Within each class, pictures that belong together (same group, or same pixels) are ordered by a hash of the seed and
what joins them, and dealt to test, then validation, then training. So a picture's place depends on few others, copies
of a picture never stand on both sides, and no class larger than two is missing from validation.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from frostline.data.pictures import Picture
from frostline.errors import DataError
from frostline.randomness import seed_of

SplitName = Literal["train", "val", "test"]
DEFAULT_TEST = 0.15


def assign_splits(
    pictures: Sequence[Picture], units: Sequence[str], *, val: float, test: float | None, seed: int
) -> list[SplitName]:
    """Give each picture its split; splits that the source gives stay as they are.

    Validation is taken from training where the source has none. A test split is taken only where the source has no
    split at all, or where `test` is given.

    Args:
        pictures: of all splits.
        units: of each picture what joins it with others that must be on the same side.
        val: share for validation.
        test: share for testing.
        seed: of the dealing.

    Raises:
        DataError: some pictures have a split and others none.
    """
    given = Counter(picture.split for picture in pictures)
    if given[None] and len(given) > 1:
        raise DataError(
            f"{given[None]} pictures have no split and the others do; fill the split column, or leave it out"
        )
    shares: dict[SplitName, float] = {}
    if not given["test"]:
        shares["test"] = (DEFAULT_TEST if given[None] else 0.0) if test is None else test
    if not given["val"]:
        shares["val"] = val
    splits: list[SplitName] = [_as_split(picture.split) for picture in pictures]
    free = [i for i, split in enumerate(splits) if split == "train"]
    for i, split in _deal(pictures, units, free, shares, seed).items():
        splits[i] = split
    return splits


def _as_split(given: str | None) -> SplitName:
    return "val" if given == "val" else "test" if given == "test" else "train"


def _deal(
    pictures: Sequence[Picture], units: Sequence[str], free: Sequence[int], shares: dict[SplitName, float], seed: int
) -> dict[int, SplitName]:
    members_of: dict[str, list[int]] = defaultdict(list)
    for i in free:
        members_of[units[i]].append(i)
    by_class: dict[str, list[str]] = defaultdict(list)
    for unit, members in members_of.items():
        by_class[Counter(pictures[i].label for i in members).most_common(1)[0][0]].append(unit)
    dealt: dict[int, SplitName] = {}
    for unit_names in by_class.values():
        order = sorted(unit_names, key=lambda unit: (seed_of(seed, "split", unit), unit))
        dealt.update(_deal_class([members_of[unit] for unit in order], shares))
    return dealt


def _deal_class(units: Sequence[Sequence[int]], shares: dict[SplitName, float]) -> dict[int, SplitName]:
    """Deal one class's units: as many to each split as come nearest its share, one at least where there are three."""
    total = sum(len(unit) for unit in units)
    dealt: dict[int, SplitName] = {}
    remaining = list(units)
    for split, share in shares.items():
        wanted = max(round(share * total), 1 if share and len(units) >= 3 else 0)
        taken = 0
        while taken < wanted and len(remaining) > 1:
            unit = remaining.pop(0)
            dealt.update(dict.fromkeys(unit, split))
            taken += len(unit)
    return dealt
