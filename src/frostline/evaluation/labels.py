"""Labels that are probably wrong: where models that never saw a picture are much surer of another class.

The margin by which they are is what Northcutt, Jiang and Chuang rank by (Confident Learning, JAIR 2021, arXiv
1911.00068). Why not by their thresholds, each class's mean confidence, is told in docs/adr/0018; how much is found in
docs/trust.md.
"""

from dataclasses import dataclass

import numpy as np

MARGIN = 0.5
"""Difference of the probabilities of the likeliest other class and of the given one from which a label is in doubt."""


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A picture whose label is probably wrong."""

    place: int
    given: int
    suggested: int
    score: float
    """How much likelier the suggested class is than the given one: difference of their probabilities."""


def label_issues(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> list[LabelIssue]:
    """Find labels that are probably wrong, surest first.

    Args:
        probabilities_NK: by models that were not trained on the picture.
        labels_N: int, as given.
    """
    rows_N = np.arange(len(labels_N))
    others_NK = probabilities_NK.copy()
    others_NK[rows_N, labels_N] = -1
    suggested_N = others_NK.argmax(axis=1)
    scores_N = probabilities_NK[rows_N, suggested_N] - probabilities_NK[rows_N, labels_N]
    places = np.flatnonzero(scores_N >= MARGIN)
    order = places[np.argsort(-scores_N[places], kind="stable")]
    return [LabelIssue(int(i), int(labels_N[i]), int(suggested_N[i]), float(scores_N[i])) for i in order]
