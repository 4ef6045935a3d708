"""The learning curve: whether more pictures would help."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from frostline.evaluation.folds import standardised
from frostline.randomness import seed_of
from frostline.training.fit import QUICKLY, LogisticFit

SHARES = (0.1, 0.2, 0.5, 1.0)
DRAWS = 3
"""Choices of pictures over which a share's accuracy is averaged, but for the whole."""
DECAY = 1e-2


@dataclass(frozen=True, slots=True)
class Point:
    """A share of the training pictures, and what a head fitted on it reaches."""

    share: float
    count: int
    accuracy: float
    """On validation, by logistic regressions on frozen activations."""


def learning_curve(
    train_ND: Tensor, train_labels: Sequence[int], val_MD: Tensor, val_labels: Sequence[int], classes: int
) -> list[Point]:
    """Fit heads on growing shares of the training pictures, each class by its share.

    Args:
        train_ND: float32 activations.
        train_labels: classes, by number.
        val_MD: as train_ND.
        val_labels: as train_labels.
        classes: how many there are.
    """
    both = standardised(torch.cat([train_ND, val_MD]))
    train_ND, val_MD = both[: len(train_labels)], both[len(train_labels) :]
    labels_N, val_labels_M = (torch.tensor(labels, device=train_ND.device) for labels in (train_labels, val_labels))
    points = []
    for share in SHARES:
        accuracies = []
        for draw in range(DRAWS if share < 1 else 1):
            some = _some_of_each(train_labels, share, draw)
            logits = LogisticFit(train_ND[some], labels_N[some], classes, iterations=QUICKLY).with_decay(DECAY, val_MD)
            accuracies.append(float((logits.argmax(dim=1) == val_labels_M).double().mean()))
        points.append(Point(share, len(some), sum(accuracies) / len(accuracies)))
    return points


def _some_of_each(labels: Sequence[int], share: float, draw: int) -> list[int]:
    """Places of a share of every class's pictures, one at least."""
    by_class: dict[int, list[int]] = {}
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed_of("learning curve", draw)))
    for place in order.tolist():
        by_class.setdefault(labels[place], []).append(place)
    return sorted(place for places in by_class.values() for place in places[: max(1, round(share * len(places)))])
