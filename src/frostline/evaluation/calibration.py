"""Whether a model is as sure as it is right, and the one number that mends it.

Sources: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks (ICML 2017), arXiv 1706.04599; half a
mistake where few were seen: Krichevsky, Trofimov, The Performance of Universal Encoding (IEEE Transactions on
Information Theory, 1981).
"""

from dataclasses import dataclass

import numpy as np

BINS = 15
LEAST, MOST = 0.05, 20.0
"""Temperatures between which the best is looked for."""
SPREAD = 0.5
"""Standard deviation of a temperature's logarithm over networks: 0.6 to 1.6 is usual, beyond 0.4 to 2.7 is rare."""
DRAWS = 200
"""Of the outcomes that a model's confidence would lead to."""


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
    """Give the number by which to divide logits so that log loss is least, as far as the pictures can tell.

    The least log loss hangs on the mistakes, which are few; where there is none it makes certain. So half a mistake is
    added (Krichevsky and Trofimov, 1981): every picture counts a little for the class that comes next. And 1 is the
    likeliest before any picture is seen: the logarithm's prior is normal with deviation `SPREAD`. Of ten pictures both
    matter, of a thousand neither.

    Args:
        logits_NK: float, of pictures that were not trained on.
        labels_N: int, their classes.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    count, places = len(labels_N), np.arange(len(labels_N))
    others_NK = np.array(logits_NK, dtype=float)
    others_NK[places, labels_N] = -np.inf
    next_N = others_NK.argmax(axis=1)

    def loss(log_temperature: float) -> float:
        said_NK = log_softmax(logits_NK / np.exp(log_temperature), axis=1)
        total = (count + 0.5) * said_NK[places, labels_N].sum() + 0.5 * said_NK[places, next_N].sum()
        return float(-total / (count + 1) + (log_temperature / SPREAD) ** 2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded").x))


def reliability(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> list[Bin]:
    """Sort predictions by how sure they are, into bins of equal width; empty ones are left out."""
    confidence_N = probabilities_NK.max(axis=1)
    right_N = probabilities_NK.argmax(axis=1) == labels_N
    place_N = _places(confidence_N)
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


def error_by_chance(probabilities_NK: np.ndarray, *, seed: int = 0) -> float:
    """The expected calibration error that the same confidences would have if each were exactly true.

    It is not 0: of a few pictures, the share that is right differs from its probability. A mean over drawn outcomes.

    Args:
        probabilities_NK: float, rows sum to 1.
        seed: of the draws.
    """
    confidence_N = np.sort(probabilities_NK.max(axis=1))
    _, starts = np.unique(_places(confidence_N), return_index=True)
    draw, count = np.random.default_rng(seed), len(confidence_N)
    off = [np.add.reduceat((draw.random(count) < confidence_N) - confidence_N, starts) for _ in range(DRAWS)]
    return float(np.abs(off).sum(axis=1).mean() / count)


def _places(confidence_N: np.ndarray) -> np.ndarray:
    """Numbers of the bins."""
    places: np.ndarray = np.clip(np.ceil(confidence_N * BINS).astype(int) - 1, 0, BINS - 1)
    return places
