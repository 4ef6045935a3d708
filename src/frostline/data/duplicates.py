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

from frostline.hardware import choose_precision

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
BLOCK, PICTURES_AT_ONCE = 2048, 32
"""Rows of a product of descriptors, and pictures whose parts are made together."""


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
    if choose_precision("auto", "cpu") == "bf16":  # to propose pairs, three digits are enough
        x_ND, others_ND = x_ND.bfloat16(), others_ND.bfloat16()
    for start in range(0, len(x_ND), BLOCK):
        cosines, places = (x_ND[start : start + BLOCK] @ others_ND.T).topk(count, dim=1)
        for row, column in torch.nonzero(cosines >= least).tolist():
            a, b = start + row, int(places[row, column])
            if a != b:
                yield min(a, b), max(a, b)


def _laid(pictures: Tensor, pairs: Sequence[Pair], search: Search) -> list[Pair]:
    """Give each pair its highest correlation over all parts of either picture, upright and mirrored.

    The parts of a picture are made once, and laid on all that it is compared with.
    """
    others: dict[int, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        others[pair.first].append(number)
        others[pair.second].append(number)
    involved = sorted(others)
    place = {picture: i for i, picture in enumerate(involved)}
    upright, mirrored = _whole(pictures[involved], search), _whole(pictures[involved].flip(-1), search)
    best = torch.full((len(pairs),), -1.0)
    for start in range(0, len(involved), PICTURES_AT_ONCE):
        some = involved[start : start + PICTURES_AT_ONCE]
        for picture, parts in zip(some, _parts(pictures[some], search), strict=True):
            numbers = others[picture]
            at = [place[pairs[i].first + pairs[i].second - picture] for i in numbers]
            for whole in (upright, mirrored):
                best[numbers] = torch.maximum(best[numbers], (whole[at] @ parts.T).amax(dim=1))
    return [Pair(pair.first, pair.second, score) for pair, score in zip(pairs, best.tolist(), strict=True)]


def _whole(pictures: Tensor, search: Search) -> Tensor:
    """Pictures (pictures, 1, side, side) at the size in which they are laid on each other: (pictures, pixels)."""
    return _standard(_sized(pictures, (search.side, search.side)).flatten(1))


def _parts(pictures: Tensor, search: Search) -> Tensor:
    """Every part of pictures (pictures, 1, side, side), at one size, standardised: (pictures, parts, pixels).

    Resizing is two matrix products, one over rows and one over columns; a matrix for each place of a part.
    """
    side = pictures.shape[-1]
    parts = []
    for scale in search.scales:
        size = round(scale * side)
        resize = _sized(torch.eye(size)[None, None], (search.side, size))[0, 0]
        offsets = sorted({round(shift * (side - size)) for shift in search.shifts})
        ways = torch.zeros(len(offsets), search.side, side)
        for way, offset in zip(ways, offsets, strict=True):
            way[:, offset : offset + size] = resize
        rows = torch.einsum("ois,pst->poit", ways, pictures[:, 0])
        parts.append(torch.einsum("poit,qjt->poqij", rows, ways).flatten(1, 2))
    return _standard(torch.cat(parts, dim=1).flatten(2))


def _sized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)


def _standard(x: Tensor) -> Tensor:
    """Mean 0 and length 1 over the last axis; of one that does not move, 0."""
    return functional.normalize(x - x.mean(dim=-1, keepdim=True), dim=-1, eps=1e-3)
