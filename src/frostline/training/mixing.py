"""Mix pairs of pictures of a batch, at whatever the stage trains on: pixels where nothing is frozen, else activations.

On pixels these are mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899); on what crosses the frost line, manifold
mixup (arXiv 1806.05236) and its CutMix. Stored or computed anew, the activations mixed are the same.

Shapes: B pictures of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frostline.activations.store import Values

Box = tuple[float, float, float, float]
"""Top, left, bottom, right, as shares of the sides."""
Place = tuple[slice, ...]
"""The same in a batch of maps, rounded to whole positions."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How the pictures of one batch are mixed with partners out of it."""

    share: float
    """Of its own that each picture keeps, and the weight of its own label."""
    box: Box | None = None
    """The part of each map that comes from the partner; None blends everywhere."""


NO_MIX = Mix(1.0)


def draw_mix(mixup: float, cutmix: float, seed: int) -> Mix:
    """Draw how to mix a batch; where both kinds are wanted, each step takes one of them.

    Args:
        mixup: alpha of Beta(alpha, alpha), from which the share is drawn; 0 for no mixup.
        cutmix: the same for CutMix.
        seed: of the step.
    """
    if not mixup and not cutmix:
        return NO_MIX
    draw = np.random.default_rng(seed)
    cuts = bool(cutmix) and (not mixup or draw.random() < 0.5)
    share = float(draw.beta(cutmix, cutmix) if cuts else draw.beta(mixup, mixup))
    if not cuts:
        return Mix(share)
    side = np.sqrt(1 - share)
    y, x = draw.random(2)
    top, left, bottom, right = np.clip([y - side / 2, x - side / 2, y + side / 2, x + side / 2], 0, 1).tolist()
    return Mix(1 - (bottom - top) * (right - left), (top, left, bottom, right))


def mix_values(values: Values, mix: Mix, partners_B: Tensor, channel_axes: Sequence[int]) -> tuple[Values, float]:
    """Mix every value of a batch.

    Args:
        values: (B, ...) each; changed nowhere.
        mix: how.
        partners_B: int64, the place of each picture's partner.
        channel_axes: of each value, the batch not counted: 0 for (B, C, H, W), 2 for (B, H, W, C).

    Returns:
        The mixed values, and the share that each picture kept of its own (a box is rounded to whole positions). Values
        that are no maps have no place for a box and are blended.
    """
    if mix.box is None:
        return tuple(_blend(value, mix.share, partners_B) for value in values), mix.share
    places = [_place(mix.box, value, axis) for value, axis in zip(values, channel_axes, strict=True)]
    share = next((found[1] for found in places if found), mix.share)
    mixed = [
        _paste(value, found[0], partners_B) if found else _blend(value, share, partners_B)
        for value, found in zip(values, places, strict=True)
    ]
    return tuple(mixed), share


def partners_of(count: int, seed: int) -> Tensor:
    """A partner for each of `count` pictures: a random permutation."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _blend(value: Tensor, share: float, partners_B: Tensor) -> Tensor:
    return torch.lerp(value[partners_B], value, share)


def _paste(value: Tensor, place: Place, partners_B: Tensor) -> Tensor:
    pasted = value.clone()
    pasted[place] = value[partners_B][place]
    return pasted


def _place(box: Box, value: Tensor, channel_axis: int) -> tuple[Place, float] | None:
    """Where a box lies in maps, and the share of a map outside it; None where the value is no map."""
    if value.dim() != 4:
        return None
    before = 1 if channel_axis == 2 else 2
    height, width = value.shape[before : before + 2]
    top, left, bottom, right = box
    rows, columns = slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))
    covered = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return (*[slice(None)] * before, rows, columns), 1 - covered
