"""The index: every usable picture with its content's digest, label and split; and what had to be left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frostline.data.audit import Audit, Seen, audit
from frostline.data.classnames import check_class_names
from frostline.data.loader import Finding, examine
from frostline.data.pictures import LeftOut, Picture, Source, first_few, natural_key
from frostline.data.split import SplitName, assign_splits
from frostline.errors import DataError
from frostline.progress import Reporter

SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Image:
    """One usable picture."""

    position: int
    """In the source, for reading it."""
    path: str
    digest: str
    """BLAKE3 of its bytes."""
    label: int
    """Place of its class in `Index.classes`."""
    split: SplitName
    group: str | None
    unit: str
    """What joins it with others that no split may tear apart: its group, or its pixels."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Pictures that are known to be alike, by path."""

    leaks: Mapping[str, str]
    """Those to leave out, and the copy of each in another split."""
    groups: Mapping[str, str]
    """Those without a split of their own that no split may tear apart, and what joins them."""


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """The table of pictures."""

    source: Source
    classes: tuple[str, ...]
    images: tuple[Image, ...]
    left_out: tuple[LeftOut, ...]
    """Pictures that are not used, in the source's order, and then files that are no pictures: with `images`, all."""
    audit: Audit

    def of(self, split: SplitName) -> list[Image]:
        """Pictures of one split, in the source's order."""
        return [image for image in self.images if image.split == split]

    def counts(self) -> dict[str, int]:
        """Number of pictures in each split, and of files skipped, refused and ignored; their sum is all files."""
        found: Counter[str] = Counter(image.split for image in self.images)
        found.update(one.outcome for one in self.left_out)
        return {name: found[name] for name in (*SPLIT_NAMES, "skipped", "refused", "ignored")}


def build_index(
    source: Source,
    *,
    channels: int,
    max_pixels: int,
    max_damaged: float,
    val: float,
    test: float | None,
    seed: int,
    workers: int,
    known_good: dict[bytes, bytes],
    reporter: Reporter,
    copies: Copies | None = None,
) -> Index:
    """Digest and check every picture, leave out what cannot be used, and give each of the others a split.

    Args:
        source: where the pictures are.
        channels: 1 or 3.
        max_pixels: pictures with more are refused.
        max_damaged: share of damaged pictures above which to stop; what is refused is told, but does not count.
        val: share for validation, where the source has no such split.
        test: share for testing; None is 0.15 where the source has no split at all, else nothing.
        seed: the split is a function of it and of the pictures' content.
        workers: processes that decode.
        known_good: digests of pictures that need no decoding, with their pixels'; what proves good is added.
        reporter: shows progress and what was left out.
        copies: what is known to be alike; None: nothing but what has the same pixels.

    Raises:
        DataError: too many damaged, fewer than two classes, a class name that is not allowed, a class without
            pictures, an empty split.
    """
    findings = _examine_all(source, channels, max_pixels, workers, known_good, reporter)
    pictures, classes = source.pictures, class_names(source)
    unusable = _unusable(pictures, findings)
    _report(list(unusable.values()), len(pictures), max_damaged, reporter)
    dropped = _dropped(pictures, unusable, copies.leaks if copies else {})
    if dropped:
        reporter.warn(f"left out {len(dropped)} pictures with a copy in another split (skipped.csv)")
    left_out = dict(sorted((unusable | dropped).items()))
    usable = [i for i in range(len(pictures)) if i not in left_out]
    _check_left(pictures, usable, left_out)
    label_of = {name: label for label, name in enumerate(classes)}
    units = _units([pictures[i] for i in usable], [findings[i] for i in usable], copies.groups if copies else {})
    splits = assign_splits([pictures[i] for i in usable], units, val=val, test=test, seed=seed)
    images = tuple(
        Image(i, pictures[i].path, findings[i].digest, label_of[pictures[i].label], split, pictures[i].group, unit)
        for i, split, unit in zip(usable, splits, units, strict=True)
    )
    found = audit([Seen(one.path, classes[one.label], one.split, findings[one.position].pixels) for one in images])
    index = Index(source, classes, images, (*left_out.values(), *source.ignored), found)
    _check_splits(index)
    for text in found.warnings():
        reporter.warn(text)
    return index


def _units(pictures: Sequence[Picture], findings: Sequence[Finding], groups: Mapping[str, str]) -> list[str]:
    """Tell what joins each picture with others: its group, that of its copies, or its pixels.

    Pixels are called by the least digest of the files that hold them, which the order of the files does not change.
    """
    first: dict[str, str] = {}
    for found in findings:
        first[found.pixels] = min(found.digest, first.get(found.pixels, found.digest))

    def unit(picture: Picture, found: Finding) -> str:
        if picture.group:
            return f"group {picture.group}"
        return groups.get(picture.path) or f"content {first[found.pixels]}"

    return [unit(picture, found) for picture, found in zip(pictures, findings, strict=True)]


def _examine_all(
    source: Source, channels: int, max_pixels: int, workers: int, known_good: dict[bytes, bytes], reporter: Reporter
) -> list[Finding]:
    total = len(source.pictures)
    findings: list[Finding] = []
    with reporter.bar(total, "checking pictures") as advance:
        for batch in examine(source, channels=channels, max_pixels=max_pixels, workers=workers, known_good=known_good):
            findings.extend(batch)
            advance(len(batch))
    good = (found for found in findings if not found.damage)
    known_good.update((bytes.fromhex(found.digest), bytes.fromhex(found.pixels)) for found in good)
    return findings


def _unusable(pictures: Sequence[Picture], findings: Sequence[Finding]) -> dict[int, LeftOut]:
    """Give the pictures that are damaged or not allowed, by position."""
    return {
        position: LeftOut(picture.path, "refused" if found.is_refused else "skipped", found.damage)
        for position, (picture, found) in enumerate(zip(pictures, findings, strict=True))
        if found.damage
    }


def _dropped(
    pictures: Sequence[Picture], unusable: Mapping[int, LeftOut], leaks: Mapping[str, str]
) -> dict[int, LeftOut]:
    """Give the sound pictures that are not allowed because a copy is in another split, by position."""
    return {
        position: LeftOut(picture.path, "refused", f"a copy of {leaks[picture.path]}, which is in another split")
        for position, picture in enumerate(pictures)
        if picture.path in leaks and position not in unusable
    }


def _report(left_out: Sequence[LeftOut], total: int, max_damaged: float, reporter: Reporter) -> None:
    """Tell of what is not used; only damage can be too much, for what is refused is so by choice."""
    damaged = [one for one in left_out if one.outcome == "skipped"]
    if len(damaged) > max_damaged * total:
        raise DataError(
            f"{len(damaged)} of {total} pictures are damaged, more than {max_damaged:.0%}: {_shown(damaged)}; "
            "repair or remove them, or raise --max-damaged"
        )
    if damaged:
        reporter.warn(f"left out {len(damaged)} of {total} pictures: {_shown(damaged)}")
    refused = [one for one in left_out if one.outcome == "refused"]
    if refused:
        reporter.warn(f"refused {len(refused)} of {total} pictures, which are not damaged: {_shown(refused)}")


def _shown(left_out: Sequence[LeftOut]) -> str:
    return first_few([f"{one.path} ({one.reason})" for one in left_out])


def _check_left(pictures: Sequence[Picture], usable: Sequence[int], left_out: Mapping[int, LeftOut]) -> None:
    """Refuse to lose a class of training pictures."""
    lost = sorted(_training_labels(pictures) - _training_labels([pictures[i] for i in usable]))
    if lost:
        why = [one for position, one in left_out.items() if pictures[position].label == lost[0]]
        raise DataError(
            f"no usable training picture is left of class {first_few(lost)}: {_shown(why)}; add some or remove it"
        )


def class_names(source: Source) -> tuple[str, ...]:
    """Classes in order, from the training pictures alone; every other label must be among them.

    Raises:
        DataError: fewer than two, a name that is not allowed, or a label that training does not have.
    """
    labels = {picture.label for picture in source.pictures} | set(source.classes or ())
    if reason := check_class_names(sorted(labels, key=natural_key)):
        raise DataError(reason)
    classes = source.classes or tuple(sorted(_training_labels(source.pictures), key=natural_key))
    unknown = sorted({picture.label for picture in source.pictures} - set(classes), key=natural_key)
    if unknown:
        raise DataError(f"class {first_few(unknown)} has no training picture; there are {first_few(classes, 10)}")
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class"
        raise DataError(f"{found} found; classification needs at least two, each in a folder (or label) of its own")
    return classes


def _training_labels(pictures: Sequence[Picture]) -> set[str]:
    return {picture.label for picture in pictures if picture.split in {None, "train"}}


def _check_splits(index: Index) -> None:
    counts = index.counts()
    for name in ("train", "val"):
        if not counts[name]:
            raise DataError(
                f"the {name} split is empty ({len(index.images)} pictures in all); add pictures or raise --val"
            )
