"""Labels that are probably wrong.

Source: Northcutt, Jiang, Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels (JAIR 2021),
arXiv 1911.00068: a picture counts as one of a class when the model is at least as sure of it as it is, on average, for
pictures with that label.
"""

from dataclasses import dataclass

import numpy as np


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
    classes = probabilities_NK.shape[1]
    of_given_N = probabilities_NK[np.arange(len(labels_N)), labels_N]
    thresholds_K = np.array([_mean(of_given_N[labels_N == k]) for k in range(classes)])
    confident_NK = np.where(probabilities_NK >= thresholds_K, probabilities_NK, -np.inf)
    suggested_N = confident_NK.argmax(axis=1)
    is_confident_N = np.isfinite(confident_NK.max(axis=1))
    scores_N = probabilities_NK[np.arange(len(labels_N)), suggested_N] - of_given_N
    places = np.flatnonzero(is_confident_N & (suggested_N != labels_N) & (scores_N > 0))
    order = places[np.argsort(-scores_N[places], kind="stable")]
    return [LabelIssue(int(i), int(labels_N[i]), int(suggested_N[i]), float(scores_N[i])) for i in order]


def _mean(values: np.ndarray) -> float:
    """The mean; of nothing, more than any probability."""
    return float(values.mean()) if len(values) else 2.0
