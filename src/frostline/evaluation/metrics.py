"""Numbers that say how good a classifier is, from its probabilities."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from frostline.evaluation.calibration import Bin, error_by_chance, expected_error, reliability
from frostline.evaluation.intervals import (
    Interval,
    bootstrap,
    macro_f1,
    of_area,
    of_mean,
    of_mean_recall,
    wilson,
)

MOST_CONFUSED = 20
"""Pairs of classes that are listed."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured on one split."""

    count: int
    accuracy: float
    interval: Interval
    """Of the accuracy, at 95% (Wilson)."""
    balanced_accuracy: float
    """Mean of the recalls."""
    macro_f1: float
    intervals: dict[str, Interval]
    """Of those two and of the log loss, at 95% (Price and Bonett; bootstrap)."""
    log_loss: float
    """Mean negative log probability of the true class, in nats."""
    top5_accuracy: float
    ece: float
    """Expected calibration error."""
    ece_by_chance: float
    """What it would be if every confidence were exactly true: with few pictures it is not 0."""
    reliability: list[Bin]
    per_class: dict[str, dict[str, Any]]
    """Precision, recall, F1, area under the ROC curve against all others (null without pictures of the class, or of
    others) and number of pictures by class; `intervals` of precision, recall (Wilson) and area (Newcombe), null where
    there is nothing to count."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones."""
    confused: list[dict[str, Any]]
    """Pairs of a true class and another one predicted for it, most frequent first: true, predicted, count, and share of
    the true class's pictures."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self) | {
            "interval": list(self.interval),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "confusion": [list(row) for row in self.confusion],
        }


def measure(probabilities_NK: np.ndarray, labels_N: np.ndarray, classes: tuple[str, ...]) -> Metrics:
    """Measure predictions against labels; the order of the pictures does not matter.

    Args:
        probabilities_NK: float, rows sum to 1.
        labels_N: int, places in `classes`.
        classes: names.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted_N = probabilities_NK.argmax(axis=1)
    names = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels_N, predicted_N, labels=names, zero_division=0
    )
    present = support > 0
    confusion = confusion_matrix(labels_N, predicted_N, labels=names)
    right = predicted_N == labels_N
    of_true_N = _of_true_class(probabilities_NK, labels_N)
    loss_N = log_losses(probabilities_NK, labels_N)
    higher = (probabilities_NK > of_true_N[:, np.newaxis]).sum(axis=1)
    areas = [_area_under_roc(probabilities_NK[:, i], labels_N == i) for i in names]
    bins = reliability(probabilities_NK, labels_N)
    return Metrics(
        count=len(labels_N),
        accuracy=float(right.mean()),
        interval=wilson(int(right.sum()), len(labels_N)),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        intervals={
            "balanced_accuracy": of_mean_recall(confusion),
            "macro_f1": bootstrap(macro_f1, confusion),
            "log_loss": of_mean(loss_N),
        },
        log_loss=float(loss_N.mean()),
        top5_accuracy=float((higher < 5).mean()),
        ece=expected_error(bins),
        ece_by_chance=error_by_chance(probabilities_NK),
        reliability=bins,
        per_class={
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "auroc": areas[i],
                "count": int(support[i]),
                "intervals": _intervals_of(confusion, i, areas[i]),
            }
            for i, name in enumerate(classes)
        },
        confusion=tuple(map(tuple, confusion.tolist())),
        confused=_confused(confusion, classes),
    )


def log_losses(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """The negative logarithm of each picture's probability of its class, (N,); 27.6 at most."""
    losses_N: np.ndarray = -np.log(np.clip(_of_true_class(probabilities_NK, labels_N), 1e-12, None))
    return losses_N


def _of_true_class(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    of_true_N: np.ndarray = probabilities_NK[np.arange(len(labels_N)), labels_N]
    return of_true_N


def _area_under_roc(scores_N: np.ndarray, is_class_N: np.ndarray) -> float | None:
    """The probability that a picture of the class has a higher score than one of another class."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_class_N, scores_N)) if is_class_N.any() and not is_class_N.all() else None


def _intervals_of(confusion_KK: np.ndarray, place: int, area: float | None) -> dict[str, list[float] | None]:
    right, there = int(confusion_KK[place, place]), int(confusion_KK[place].sum())
    predicted, others = int(confusion_KK[:, place].sum()), int(confusion_KK.sum()) - there
    return {
        "precision": list(wilson(right, predicted)) if predicted else None,
        "recall": list(wilson(right, there)) if there else None,
        "auroc": list(of_area(area, there, others)) if area is not None else None,
    }


def _confused(confusion_KK: np.ndarray, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    counts = confusion_KK.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        {
            "true": classes[true],
            "predicted": classes[predicted],
            "count": int(counts[true, predicted]),
            "share": float(counts[true, predicted] / confusion_KK[true].sum()),
        }
        for true, predicted in pairs
        if counts[true, predicted]
    ]
