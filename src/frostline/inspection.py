"""The audit of DATA: what is there, what is damaged, what is there twice, what leaks from one split into another."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frostline.activations.choosing import Engines
from frostline.activations.compute import Pictures, fill
from frostline.activations.housekeeping import store_home
from frostline.activations.key import key_of, row_id
from frostline.activations.store import DiskStore
from frostline.config import DEFAULT_MODEL
from frostline.data.audit import balance_warnings, imbalance, lacking
from frostline.data.duplicates import Pair, near_pairs, same_pixels
from frostline.data.index import Copies
from frostline.data.loader import Request, default_workers
from frostline.data.pictures import Source, natural_key
from frostline.data.sources import open_source
from frostline.data.survey import Facts, survey
from frostline.data.views import BASE
from frostline.defaults import MAX_PIXELS
from frostline.files import default_cache_dir
from frostline.hardware import Single, precision_name, put_on
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split
from frostline.network.weights import load_weights
from frostline.progress import Reporter

SUFFIXES_OF = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "PNG": {".png"},
    "WebP": {".webp"},
    "BMP": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "GIF": {".gif"},
}
KEPT = ("train", "val", "test")
"""Of two copies in different splits, the one in the later of these stays."""
BLANK = 4.0
"""Deviation of grey values, of 255, below which a picture shows nothing."""
PLACEHOLDER_COPIES = 5
"""As many copies are a stand-in for pictures that are missing."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found; paths are relative to DATA."""

    counts: dict[str, Any]
    """Pictures in all, usable, by split and class, by format, and sizes."""
    damaged: list[dict[str, str]]
    """path, reason: what cannot be decoded, and what is not allowed."""
    wrong_suffixes: list[dict[str, str]]
    """path, format by content."""
    ignored: list[str]
    """Files that are no pictures by their names or places, hidden ones too."""
    exact_duplicates: list[list[str]]
    """Groups of pictures with the same pixels."""
    near_duplicates: list[dict[str, Any]]
    """a, b, score."""
    leaks: list[dict[str, str]]
    """a, b, kind: copies (exact or near) in different splits; `--drop-leaks` leaves a out, and b stays."""
    label_conflicts: list[dict[str, str]]
    """a, b, kind: copies under different labels."""
    outliers: list[dict[str, str]]
    """path, reason: blank, placeholder."""
    warnings: list[str]
    """What else is worth knowing: imbalance, classes that a split lacks."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def inspect(data: str, reporter: Reporter, *, device: str = "auto", cache_dir: Path | None = None) -> Inspection:
    """Look at every picture of DATA, and compare each with all others.

    Args:
        data: as for training.
        reporter: shows progress.
        device: for the network whose activations help to find copies.
        cache_dir: home of the store of activations; None is the usual one.

    Raises:
        DataError: DATA cannot be opened.
    """
    cache_dir = cache_dir or default_cache_dir()
    source = open_source(data, cache_dir=cache_dir)
    facts = _survey(source, reporter)
    sound = [place for place, one in enumerate(facts) if not one.damage]
    groups = [[sound[i] for i in group] for group in same_pixels([facts[place].pixels for place in sound])]
    copies = {place for group in groups for place in group[1:]}
    single = [place for place in sound if place not in copies]  # of equal pictures, one is compared
    pairs = _near(source, facts, single, reporter, device, cache_dir) if len(single) > 1 else []
    return _told(source, facts, groups, pairs)


def copies_in(data: str, reporter: Reporter, *, device: str, cache_dir: Path) -> Copies:
    """Give the pictures to leave out so that no copy is in two splits, and those that a split of ours keeps together.

    What is a copy of a copy is one too. Of copies in several splits, those in the last of them stay: a test picture
    always does.

    Args:
        data: as for training.
        reporter: shows progress.
        device: as for `inspect`.
        cache_dir: as for `inspect`.
    """
    found = inspect(data, reporter, device=device, cache_dir=cache_dir)
    split_of = {picture.path: picture.split for picture in open_source(data, cache_dir=cache_dir).pictures}
    pairs = [(one["a"], one["b"]) for one in found.near_duplicates]
    pairs += [(group[0], other) for group in found.exact_duplicates for other in group[1:]]
    leaks: dict[str, str] = {}
    groups: dict[str, str] = {}
    for alike in _joined(pairs):
        last = max((split_of[path] for path in alike), key=_rank)
        stays = next(path for path in alike if split_of[path] == last)
        leaks |= {path: stays for path in alike if _rank(split_of[path]) < _rank(last)}
        groups |= {path: f"copies of {alike[0]}" for path in alike}
    return Copies(leaks, groups)


def _joined(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Give what hangs together by pairs, in natural order."""
    others: dict[str, list[str]] = defaultdict(list)
    for a, b in pairs:
        others[a].append(b)
        others[b].append(a)
    groups, seen = [], set()
    for path in sorted(others, key=natural_key):
        group, waiting = [], [path]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                group.append(one)
                waiting += others[one]
        if group:
            groups.append(sorted(group, key=natural_key))
    return groups


def _survey(source: Source, reporter: Reporter) -> list[Facts]:
    facts: list[Facts] = []
    with reporter.bar(len(source.pictures), "looking at pictures") as advance:
        for batch in survey(source, max_pixels=MAX_PIXELS, workers=default_workers()):
            facts += batch
            advance(len(batch))
    return facts


def _near(
    source: Source, facts: Sequence[Facts], places: list[int], reporter: Reporter, device: str, cache_dir: Path
) -> list[Pair]:
    small = np.stack([facts[i].small for i in places])
    requests = [Request(i, facts[i].digest, BASE) for i in places]
    found = near_pairs(small, _activations(source, requests, reporter, device, cache_dir))
    return [Pair(places[pair.first], places[pair.second], pair.score) for pair in found]


def _activations(
    source: Source, requests: Sequence[Request], reporter: Reporter, device: str, cache_dir: Path
) -> Tensor:
    """Pooled activations (pictures, channels) before the head of the default network, stored as a training's are."""
    computer = Single(device, "auto")
    network = build(NetworkSpec(model=DEFAULT_MODEL, classes=2))
    load_weights(network, "imagenet", allow_missing=None, classes=("a", "b"))
    put_on(network.module, computer.device)
    traced = network.trace()
    divided = split(traced, traced.before("head"))
    pictures = Pictures(source, network.preprocess, MAX_PIXELS, default_workers())
    engines = Engines("auto", network.preprocess, computer, cache_dir)
    (sample,) = pictures.load([requests[: pictures.at_once]])
    engine = engines.of(divided, lambda: sample, lambda: len(requests))
    key = key_of(divided, network.preprocess, precision_name(computer), engine.name)
    store = DiskStore(store_home(cache_dir), key, reporter)
    fill(store, requests, engine, pictures, reporter)
    rows = [row_id(request) for request in requests]
    return torch.cat([store.read(rows[i : i + 1024])[-1].float() for i in range(0, len(rows), 1024)])


def _told(source: Source, facts: Sequence[Facts], groups: list[list[int]], pairs: list[Pair]) -> Inspection:
    pictures = source.pictures
    usable = [place for place, one in enumerate(facts) if not one.damage]
    kinds = [*_exact_pairs(source, groups), *_near_pairs(source, groups, pairs)]

    def told(a: int, b: int, kind: str) -> dict[str, str]:
        return {"a": pictures[a].path, "b": pictures[b].path, "kind": kind}

    return Inspection(
        counts=_counts(source, facts),
        damaged=[{"path": pictures[i].path, "reason": one.damage} for i, one in enumerate(facts) if one.damage],
        wrong_suffixes=[
            {"path": pictures[i].path, "format": facts[i].format}
            for i in usable
            if _is_misnamed(pictures[i].path, facts[i])
        ],
        ignored=[one.path for one in source.ignored],
        exact_duplicates=[[pictures[place].path for place in group] for group in groups],
        near_duplicates=[
            {"a": pictures[p.first].path, "b": pictures[p.second].path, "score": round(p.score, 4)} for p in pairs
        ],
        leaks=[told(*one) for one in kinds if pictures[one[0]].split != pictures[one[1]].split],
        label_conflicts=[told(*one) for one in kinds if pictures[one[0]].label != pictures[one[1]].label],
        outliers=_outliers(source, facts, groups),
        warnings=_warnings(source, usable),
    )


def _exact_pairs(source: Source, groups: list[list[int]]) -> Iterator[tuple[int, int, str]]:
    """Each picture of a group with the one of them that would stay in its split."""
    for group in groups:
        stays = max(group, key=lambda place: _rank(source.pictures[place].split))
        yield from ((place, stays, "exact") for place in group if place != stays)


def _near_pairs(source: Source, groups: list[list[int]], pairs: list[Pair]) -> Iterator[tuple[int, int, str]]:
    """Each pair, and those of their own copies; first the one that would not stay."""
    copies = {group[0]: group for group in groups}
    for pair in pairs:
        for a in copies.get(pair.first, [pair.first]):
            for b in copies.get(pair.second, [pair.second]):
                goes, stays = sorted((a, b), key=lambda place: _rank(source.pictures[place].split))
                yield goes, stays, "near"


def _rank(split: str | None) -> int:
    return KEPT.index(split or "train")


def _is_misnamed(path: str, one: Facts) -> bool:
    suffix = PurePosixPath(path).suffix.lower()
    return bool(one.format) and bool(suffix) and suffix not in SUFFIXES_OF[one.format]


def _counts(source: Source, facts: Sequence[Facts]) -> dict[str, Any]:
    usable = [(picture, one) for picture, one in zip(source.pictures, facts, strict=True) if not one.damage]
    by_class: dict[str, Counter[str]] = {}
    for picture, _ in usable:
        by_class.setdefault(picture.split or "all", Counter())[picture.label] += 1
    shorter = sorted(min(one.size) for _, one in usable)
    return {
        "pictures": len(facts),
        "usable": len(usable),
        "by_split": {
            name: dict(sorted(found.items(), key=lambda item: natural_key(item[0]))) for name, found in by_class.items()
        },
        "formats": dict(Counter(one.format or "pixels" for _, one in usable)),
        "shorter_side": {"least": shorter[0], "median": shorter[len(shorter) // 2], "most": shorter[-1]}
        if shorter
        else {},
    }


def _outliers(source: Source, facts: Sequence[Facts], groups: list[list[int]]) -> list[dict[str, str]]:
    """Pictures that show nothing, and stand-ins."""
    pictures, found = source.pictures, {}
    for place, one in enumerate(facts):
        if not one.damage and one.deviation < BLANK:
            found[place] = f"blank: grey values deviate by {one.deviation:.1f} of 255"
    for group in groups:
        labels = {pictures[place].label for place in group}
        under = f" under {len(labels)} labels" if len(labels) > 1 else ""
        if len(group) >= PLACEHOLDER_COPIES:
            for place in group:
                found.setdefault(place, f"placeholder: {len(group)} copies of it{under}")
    return [{"path": pictures[place].path, "reason": found[place]} for place in sorted(found)]


def _warnings(source: Source, usable: Sequence[int]) -> list[str]:
    """Imbalance of the training pictures, and classes that a split lacks."""
    pairs = [(source.pictures[place].label, source.pictures[place].split or "train") for place in usable]
    return balance_warnings(imbalance(label for label, split in pairs if split == "train"), lacking(pairs))
