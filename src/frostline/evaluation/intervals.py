"""How far a measured number may be from the truth: 95% intervals."""

from collections.abc import Callable

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
AT_ONCE = 100
"""Resamples that are counted together, for the sake of memory."""

Interval = tuple[float, float]


def wilson(correct: int, count: int) -> Interval:
    """The interval of a share that was counted (E. B. Wilson, 1927); holds its level for few pictures and near 0 and 1.

    >>> low, high = wilson(95, 100)
    >>> print(f"{low:.3f} {high:.3f}")
    0.888 0.978
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, count).proportion_ci(LEVEL, "wilson")
    return float(interval.low), float(interval.high)


def bootstrap(
    statistic: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], confusion_KK: np.ndarray, *, seed: int = 0
) -> Interval:
    """The interval between quantiles of a statistic over resamples of the pictures (Efron, 1979).

    Drawing pictures with replacement draws, of each cell of the confusion matrix, how often it occurs. Where no picture
    was mistaken none is in any resample; the interval is that of the accuracy then, by Wilson.

    Args:
        statistic: from how often each class was right, was there and was predicted, each (resamples, classes), to the
            values (resamples,).
        confusion_KK: rows are true classes, columns predicted ones.
        seed: of the resamples.
    """
    from scipy.sparse import csr_array

    if not (confusion_KK.sum() - np.trace(confusion_KK)):
        return wilson(int(confusion_KK.sum()), int(confusion_KK.sum()))
    true, predicted = np.nonzero(confusion_KK)
    counts = confusion_KK[true, predicted]
    classes, cells = len(confusion_KK), np.arange(len(counts))
    shape = (len(counts), classes)
    is_true = csr_array((np.ones(len(cells)), (cells, true)), shape=shape)
    is_predicted = csr_array((np.ones(len(cells)), (cells, predicted)), shape=shape)
    right = csr_array(((true == predicted).astype(float), (cells, true)), shape=shape)
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = draw.multinomial(counts.sum(), counts / counts.sum(), size=AT_ONCE)
        values.append(statistic(drawn @ right, drawn @ is_true, drawn @ is_predicted))
    return between_quantiles(np.concatenate(values))


def of_mean_recall(confusion_KK: np.ndarray) -> Interval:
    """The interval of balanced accuracy, a mean of shares that were counted on classes of different sizes.

    R. M. Price, D. G. Bonett, An improved confidence interval for a linear function of binomial proportions
    (Computational Statistics and Data Analysis, 2004): four more pictures, half of them right, dealt to the classes.
    Holds its level with ten pictures of a class, where a bootstrap is too narrow.

    Args:
        confusion_KK: rows are true classes, columns predicted ones; a class without pictures does not count.
    """
    from scipy.stats import norm

    there_K = confusion_KK.sum(axis=1)
    right_K, there_K = confusion_KK.diagonal()[there_K > 0], there_K[there_K > 0]
    counts_K = there_K + 4 / len(there_K)
    recalls_K = (right_K + 2 / len(there_K)) / counts_K
    spread = float(np.sqrt((recalls_K * (1 - recalls_K) / counts_K).sum())) / len(there_K)
    mean, half = float(recalls_K.mean()), float(norm.ppf((1 + LEVEL) / 2)) * spread
    return max(0.0, mean - half), min(1.0, mean + half)


def of_mean(values_N: np.ndarray, *, seed: int = 0) -> Interval:
    """The interval of a mean over pictures, by a bootstrap of its distance in standard errors (Efron, 1982).

    Holds its level where a few values are far larger than the others, as losses are; one between quantiles does not.
    Where they are larger still (60 values of a log-normal distribution with deviation 1) it holds 90% of the time. The
    order of the pictures changes nothing.
    """
    values_N = np.sort(values_N)
    draw, count, mean = np.random.default_rng(seed), len(values_N), float(values_N.mean())
    if np.ptp(values_N) == 0:
        return mean, mean
    distances = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn_RN = values_N[draw.integers(0, count, (AT_ONCE, count))]
        drawn_RN = drawn_RN[np.ptp(drawn_RN, axis=1) > 0]
        distances.append((drawn_RN.mean(axis=1) - mean) / drawn_RN.std(axis=1))
    low, high = between_quantiles(np.concatenate(distances))
    return mean - high * float(values_N.std()), mean - low * float(values_N.std())


def of_area(area: float, positives: int, negatives: int) -> Interval:
    """The interval of an area under the ROC curve: all areas from which the one that was found is not too far off.

    Method 5 of R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
    part 2 (Statistics in Medicine, 2006), with the variance of Hanley and McNeil (1982); not empty where the area is 1.

    Args:
        area: as measured.
        positives: pictures of the class.
        negatives: pictures of other classes.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, mean = float(norm.ppf((1 + LEVEL) / 2)), (positives + negatives) / 2 - 1

    def beyond(truth: float) -> float:
        spread = 1 + mean * (1 - truth) / (2 - truth) + mean * truth / (1 + truth)
        return abs(area - truth) - z * float(np.sqrt(truth * (1 - truth) * spread / (positives * negatives)))

    inside = min(max(area, 1e-9), 1 - 1e-9)  # at 0 and 1 nothing spreads
    low = brentq(beyond, 0.0, inside) if beyond(0.0) > 0 else 0.0
    high = brentq(beyond, inside, 1.0) if beyond(1.0) > 0 else 1.0
    return float(low), float(high)


def between_quantiles(values_R: np.ndarray) -> Interval:
    """The interval that leaves out as much of a statistic's resamples on either side."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values_R, [tail, 1 - tail])
    return float(low), float(high)


def macro_f1(right_RK: np.ndarray, there_RK: np.ndarray, predicted_RK: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes that are there, (resamples,)."""
    return _mean_where(2 * right_RK / np.maximum(there_RK + predicted_RK, 1), there_RK > 0)


def _mean_where(values_RK: np.ndarray, present_RK: np.ndarray) -> np.ndarray:
    mean: np.ndarray = (values_RK * present_RK).sum(axis=1) / present_RK.sum(axis=1)
    return mean
