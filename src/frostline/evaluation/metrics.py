"""Numbers that say how good a classifier is, from its probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured on one split."""

    count: int
    accuracy: float
    balanced_accuracy: float
    """Mean of the recalls."""
    macro_f1: float
    log_loss: float
    """Mean negative log probability of the true class, in nats."""
    top5_accuracy: float
    per_class: dict[str, dict[str, float]]
    """Precision, recall, F1 and number of pictures by class."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "top5_accuracy": self.top5_accuracy,
            "per_class": self.per_class,
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
    of_true = probabilities_NK[np.arange(len(labels_N)), labels_N]
    higher = (probabilities_NK > of_true[:, np.newaxis]).sum(axis=1)
    return Metrics(
        count=len(labels_N),
        accuracy=float((predicted_N == labels_N).mean()),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        log_loss=float(-np.log(np.clip(of_true, 1e-12, None)).mean()),
        top5_accuracy=float((higher < 5).mean()),
        per_class={
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "count": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        confusion=tuple(map(tuple, confusion_matrix(labels_N, predicted_N, labels=names).tolist())),
    )
