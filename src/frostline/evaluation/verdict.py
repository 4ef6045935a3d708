"""What the numbers of a training say in plain words, as codes that the report turns into sentences."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from frostline.evaluation.curve import Point
from frostline.evaluation.intervals import Interval
from frostline.training.history import History

WIDE_GAP, MANY_MORE = 0.05, 2
"""Of training over validation accuracy, and times that new pictures are mistaken as often, above which a network knows
its pictures by heart; in it lies luck as well."""
LOW = 0.9
"""Of both accuracies, below which it has not learnt what there is to learn, or cannot."""
STEEP = 0.01
"""Gain from the last doubling of the pictures that makes more of them promising."""
WIDE_INTERVAL = 0.1
MANY_ISSUES = 0.02
"""Share of doubtful labels that deserves an hour of somebody's time."""


def verdict(
    history: History, curve: Sequence[Point], measured: int, interval: Interval, issues: int, count: int
) -> list[dict[str, Any]]:
    """Say what is worth knowing, most important first; each with the numbers that its sentence needs.

    Args:
        history: of the training.
        curve: its learning curve; empty where there is none.
        measured: pictures that its accuracies are of.
        interval: of the accuracy that counts.
        issues: labels in doubt.
        count: labels that were examined.
    """
    found: list[dict[str, Any]] = []
    if history.best is not None:
        best, last = history.epochs[history.best], history.epochs[-1]
        train = max(best.train_accuracy, last.train_accuracy)
        found.append(_fit(train, best.val_accuracy, is_last=best is last))
    if count and issues / count > MANY_ISSUES:
        found.append({"code": "labels", "issues": issues, "count": count})
    if len(curve) > 1:
        found.append(_more(curve, measured))
    if interval[1] - interval[0] > WIDE_INTERVAL:
        found.append({"code": "few_to_measure", "low": interval[0], "high": interval[1]})
    return found


def _more(curve: Sequence[Point], measured: int) -> dict[str, Any]:
    """Whether more pictures would help: a gain within a standard error of the accuracy says nothing."""
    accuracy = curve[-1].accuracy
    gain, error = accuracy - curve[-2].accuracy, math.sqrt(accuracy * (1 - accuracy) / measured)
    code = "more_helps" if gain > max(STEEP, error) else "more_is_unclear" if error > 2 * STEEP else "more_is_little"
    return {"code": code, "gain": gain, "measured": measured} | asdict(curve[-2])


def _fit(train: float, val: float, *, is_last: bool) -> dict[str, Any]:
    """Overfitting, underfitting or neither.

    Args:
        train: of the last epoch or the best, whichever is higher; while they trained, with augmentation and mixing, it
            says less than could be.
        val: of the best.
        is_last: the best is the last.
    """
    numbers = {"train": train, "val": val}
    if train - val > WIDE_GAP and 1 - val >= MANY_MORE * (1 - train):
        return {"code": "overfits", **numbers}
    if max(train, val) < LOW:
        return {"code": "still_learning" if is_last else "underfits", **numbers}
    return {"code": "fits", **numbers}
