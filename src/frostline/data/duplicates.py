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
ALIKE_SMALL, ALIKE_DEEP = 0.9, 0.57
"""Cosines from which a descriptor proposes a pair."""
CERTAIN = 0.96
"""Correlation from which a pair counts as copies."""
COARSE = 16
"""Side of the small picture as a descriptor."""
PROMISING = 0.87
"""Correlation from which a pair that was laid on each other roughly is laid closely."""
SMALL_AXES, DEEP_AXES = 64, 256
"""Of a descriptor, at most: those along which the pictures differ most."""
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
    coarse = coarse - coarse.mean(dim=(1, 2, 3), keepdim=True)
    both = _along_axes(torch.cat([coarse, coarse.flip(-1)]).flatten(1), SMALL_AXES)
    upright, mirrored = _unit(both).chunk(2)
    deep = _unit(_along_axes(features_ND.float() - features_ND.float().mean(dim=0), DEEP_AXES))
    proposed = {
        *_alike(upright, upright, ALIKE_SMALL),
        *_alike(upright, mirrored, ALIKE_SMALL),
        *_alike(deep, deep, ALIKE_DEEP),
    }
    found = [Pair(a, b, 1.0) for a, b in sorted(proposed)]
    for search, least in ((ROUGHLY, PROMISING), (CLOSELY, CERTAIN)):
        found = [pair for pair in _laid(pictures, found, search) if pair.score >= least]
    return sorted(found, key=lambda pair: -pair.score)


def _along_axes(x_ND: Tensor, axes: int) -> Tensor:
    """Keep what lies along the first principal axes of rows whose mean is 0, for each is compared with every other."""
    if x_ND.shape[1] <= axes:
        return x_ND
    _, axes_DD = torch.linalg.eigh(x_ND.T @ x_ND)  # by rising variance
    kept_ND: Tensor = x_ND @ axes_DD[:, -axes:]
    return kept_ND


def _unit(x_ND: Tensor) -> Tensor:
    return functional.normalize(x_ND, dim=1, eps=1e-6)


def _alike(x_ND: Tensor, others_ND: Tensor, least: float) -> Iterator[tuple[int, int]]:
    """Pairs whose cosine is high, the smaller number first; each picture's nearest few."""
    count = min(NEIGHBOURS, len(x_ND))
    if choose_precision("auto", "cpu") == "bf16":  # to propose pairs, three digits are enough
        x_ND, others_ND = x_ND.bfloat16(), others_ND.bfloat16()
    for start in range(0, len(x_ND), BLOCK):
        cosines = x_ND[start : start + BLOCK] @ others_ND.T
        cosines.diagonal(start).fill_(-1.0)  # no picture is its own copy
        (rows,) = torch.nonzero(cosines.amax(dim=1) >= least, as_tuple=True)
        nearest, places = cosines[rows].topk(count, dim=1)
        for row, column in torch.nonzero(nearest >= least).tolist():
            a, b = start + int(rows[row]), int(places[row, column])
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
    wholes = torch.stack([_whole(shown, search) for shown in (pictures[involved], pictures[involved].flip(-1))], dim=1)
    best = torch.full((len(pairs),), -1.0)
    for start in range(0, len(involved), PICTURES_AT_ONCE):
        some = involved[start : start + PICTURES_AT_ONCE]
        for picture, parts in zip(some, _parts(pictures[some], search), strict=True):
            numbers = torch.tensor(others[picture])
            at = [place[pairs[i].first + pairs[i].second - picture] for i in others[picture]]
            best[numbers] = torch.maximum(best[numbers], (wholes[at] @ parts.T).amax(dim=(1, 2)))
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
        flat, count = ways.flatten(0, 1).T, len(offsets)
        rows = (pictures[:, 0].transpose(1, 2) @ flat).transpose(1, 2) @ flat
        rows = rows.reshape(len(pictures), count, search.side, count, search.side)
        parts.append(rows.transpose(2, 3).flatten(1, 2).flatten(2))
    return _standard(torch.cat(parts, dim=1))


def _sized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)


def _standard(x: Tensor) -> Tensor:
    """Mean 0 and length 1 over the last axis; of one that does not move, 0."""
    return functional.normalize(x - x.mean(dim=-1, keepdim=True), dim=-1, eps=1e-3)
