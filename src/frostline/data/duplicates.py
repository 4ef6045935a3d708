"""Pictures that are copies of each other: the same pixels, or nearly so.

Two descriptors propose pairs, for copies change in ways that fool either one: the small grey picture itself (and its
mirror image), and a network's activations, which a crop changes little. A pair counts when one picture, or a part of
it, mirrored or not, lies on the other almost point by point: by normalised cross-correlation (J. P. Lewis, Fast
Normalized Cross-Correlation, 1995), to which brightness and contrast are nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 12
"""Pairs that each descriptor proposes for a picture, at most."""
ALIKE_SMALL, ALIKE_DEEP = 0.9, 0.5
"""Cosines from which a descriptor proposes a pair."""
CERTAIN = 0.96
"""Correlation from which a pair counts as copies."""
COARSE = 16
"""Side of the small picture as a descriptor."""
PROMISING = 0.87
"""Correlation from which a pair that was laid on each other roughly is laid closely."""
BLOCK, PAIRS_AT_ONCE = 2048, 64
"""Rows of a product of descriptors, and pairs that are laid on each other together."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which parts of a picture may be all that the other shows."""

    scales: tuple[float, ...]
    """Shares of its sides."""
    shifts: tuple[float, ...]
    """Where such a part may lie, between one end and the other."""
    side: int
    """At which the two are laid on each other."""


ROUGHLY = Search((1.0, 0.9), (0.0, 0.5, 1.0), 24)
CLOSELY = Search((1.0, 0.97, 0.94, 0.91, 0.88, 0.85), tuple(i / 8 for i in range(9)), 48)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that are nearly the same."""

    first: int
    second: int
    score: float
    """Correlation of their grey values where they lie on each other best; 1 is the same but for brightness."""


def same_pixels(digests: Sequence[str]) -> list[list[int]]:
    """Give the places of equal digests, in groups of two and more; an empty digest is like no other."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        if digest:
            places[digest].append(place)
    return [group for group in places.values() if len(group) > 1]


def near_pairs(small_NHW: np.ndarray, features_ND: Tensor) -> list[Pair]:
    """Find pairs of pictures that are nearly the same, most alike first.

    Args:
        small_NHW: uint8, grey, both sides squeezed to one size.
        features_ND: a network's activations for the same pictures.
    """
    pictures = torch.from_numpy(small_NHW).float()[:, None]
    coarse = functional.adaptive_avg_pool2d(pictures, COARSE)
    upright, mirrored = (_unit((x - x.mean(dim=(1, 2, 3), keepdim=True)).flatten(1)) for x in (coarse, coarse.flip(-1)))
    deep = _unit(features_ND.float() - features_ND.float().mean(dim=0))
    proposed = {
        *_alike(upright, upright, ALIKE_SMALL),
        *_alike(upright, mirrored, ALIKE_SMALL),
        *_alike(deep, deep, ALIKE_DEEP),
    }
    found = [Pair(a, b, 1.0) for a, b in sorted(proposed)]
    for search, least in ((ROUGHLY, PROMISING), (CLOSELY, CERTAIN)):
        found = [pair for pair in _laid(pictures, found, search) if pair.score >= least]
    return sorted(found, key=lambda pair: -pair.score)


def _unit(x_ND: Tensor) -> Tensor:
    return functional.normalize(x_ND, dim=1, eps=1e-6)


def _alike(x_ND: Tensor, others_ND: Tensor, least: float) -> Iterator[tuple[int, int]]:
    """Pairs whose cosine is high, the smaller number first; each picture's nearest few."""
    count = min(NEIGHBOURS + 1, len(x_ND))
    for start in range(0, len(x_ND), BLOCK):
        cosines, places = (x_ND[start : start + BLOCK] @ others_ND.T).topk(count, dim=1)
        for row, column in torch.nonzero(cosines >= least).tolist():
            a, b = start + row, int(places[row, column])
            if a != b:
                yield min(a, b), max(a, b)


def _laid(pictures: Tensor, pairs: Sequence[Pair], search: Search) -> Iterator[Pair]:
    """Give each pair its highest correlation over all parts of either picture, upright and mirrored."""
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        sides = [pictures[[pair.first for pair in some]], pictures[[pair.second for pair in some]]]
        best = torch.full((len(some),), -1.0)
        for part, whole in (sides, sides[::-1]):
            parts = _parts(part, search)  # (pairs, parts, pixels)
            for target in (whole, whole.flip(-1)):
                flat = _standard(_sized(target, search.side).flatten(1))
                best = torch.maximum(best, torch.einsum("pkx,px->pk", parts, flat).amax(dim=1))
        yield from (Pair(pair.first, pair.second, score) for pair, score in zip(some, best.tolist(), strict=True))


def _parts(pictures: Tensor, search: Search) -> Tensor:
    """Every part of pictures (pairs, 1, side, side), at one size, standardised: (pairs, parts, pixels)."""
    side = pictures.shape[-1]
    parts = []
    for scale in search.scales:
        size = round(scale * side)
        offsets = sorted({round(shift * (side - size)) for shift in search.shifts})
        parts += [_sized(pictures[..., y : y + size, x : x + size], search.side) for y in offsets for x in offsets]
    return _standard(torch.stack(parts, dim=1).flatten(2))


def _sized(pictures: Tensor, side: int) -> Tensor:
    return functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def _standard(x: Tensor) -> Tensor:
    """Mean 0 and length 1 over the last axis; of one that does not move, 0."""
    return functional.normalize(x - x.mean(dim=-1, keepdim=True), dim=-1, eps=1e-3)
