"""Whether a model is as sure as it is right, and the one number that mends it.

Sources: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks (ICML 2017), arXiv 1706.04599; targets
that leave room for what a small sample did not show: Platt, Probabilistic Outputs for Support Vector Machines (1999).
"""

from dataclasses import dataclass

import numpy as np

BINS = 15
LEAST, MOST = 0.05, 20.0
"""Temperatures between which the best is looked for."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions that are about equally sure."""

    low: float
    high: float
    """Confidences above `low`, up to this."""
    count: int
    confidence: float
    """Mean probability of the predicted class."""
    accuracy: float


def fit_temperature(logits_NK: np.ndarray, labels_N: np.ndarray) -> float:
    """Give the number by which to divide logits so that log loss is least.

    As after one more picture, which could be of any class: a hundred pictures without a mistake do not make certain.

    Args:
        logits_NK: float, of pictures that were not trained on.
        labels_N: int, their classes.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    count, classes = logits_NK.shape
    targets_NK = (np.eye(classes)[labels_N] * count + 1 / classes) / (count + 1)

    def loss(log_temperature: float) -> float:
        return float(-(targets_NK * log_softmax(logits_NK / np.exp(log_temperature), axis=1)).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded").x))


def reliability(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> list[Bin]:
    """Sort predictions by how sure they are, into bins of equal width; empty ones are left out."""
    confidence_N = probabilities_NK.max(axis=1)
    right_N = probabilities_NK.argmax(axis=1) == labels_N
    place_N = np.clip(np.ceil(confidence_N * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for place in np.unique(place_N):
        inside = place_N == place
        mean, share = float(confidence_N[inside].mean()), float(right_N[inside].mean())
        bins.append(Bin(float(place / BINS), float((place + 1) / BINS), int(inside.sum()), mean, share))
    return bins


def expected_error(bins: list[Bin]) -> float:
    """Expected calibration error: how far confidence is from accuracy, a picture's average over the bins."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total
