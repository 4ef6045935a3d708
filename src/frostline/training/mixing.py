"""Mix pairs of pictures of a batch, at whatever the stage trains on: pixels where nothing is frozen, else activations.

On pixels these are mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899); on what crosses the frost line, manifold
mixup (arXiv 1806.05236) and its CutMix. Stored or computed anew, the activations mixed are the same.

Shapes: B pictures of a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frostline.activations.store import Values

Box = tuple[float, float, float, float]
"""Top, left, bottom, right, as shares of the sides."""


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


def mix_values(values: Values, mix: Mix, partners_B: Tensor) -> tuple[Values, float]:
    """Mix every value of a batch.

    Args:
        values: (B, ...) each; changed nowhere.
        mix: how.
        partners_B: int64, the place of each picture's partner.

    Returns:
        The mixed values, and the share that each picture kept of its own (a box is rounded to whole positions). Values
        that are no maps (B, C, H, W) have no place for a box and are blended.
    """
    if mix.box is None:
        return tuple(_blend(value, mix.share, partners_B) for value in values), mix.share
    boxes = [_rounded(mix.box, value) if value.dim() == 4 else None for value in values]
    shares = [1 - _area(box, value) for box, value in zip(boxes, values, strict=True) if box]
    share = shares[0] if shares else mix.share
    mixed = [
        _paste(value, box, partners_B) if box else _blend(value, share, partners_B)
        for value, box in zip(values, boxes, strict=True)
    ]
    return tuple(mixed), share


def partners_of(count: int, seed: int) -> Tensor:
    """A partner for each of `count` pictures: a random permutation."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _blend(value: Tensor, share: float, partners_B: Tensor) -> Tensor:
    return torch.lerp(value[partners_B], value, share)


def _paste(value: Tensor, box: tuple[slice, slice], partners_B: Tensor) -> Tensor:
    pasted = value.clone()
    pasted[(..., *box)] = value[partners_B][(..., *box)]
    return pasted


def _rounded(box: Box, value: Tensor) -> tuple[slice, slice]:
    height, width = value.shape[-2:]
    top, left, bottom, right = box
    return slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))


def _area(box: tuple[slice, slice], value: Tensor) -> float:
    height, width = value.shape[-2:]
    rows, columns = box
    return float((rows.stop - rows.start) * (columns.stop - columns.start) / (height * width))
