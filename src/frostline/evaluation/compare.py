"""Whether one model is better than another, on the same pictures."""

from dataclasses import dataclass

import numpy as np

from frostline.evaluation.intervals import RESAMPLES, Interval, between_quantiles


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same pictures."""

    count: int
    accuracies: tuple[float, float]
    only_first: int
    """Pictures that the first alone has right."""
    only_second: int
    difference: float
    """Of the accuracies, second less first."""
    interval: Interval
    """Of the difference, at 95%."""
    p_value: float
    """Probability of a split at least as uneven of the pictures on which they differ, were both as good: McNemar's
    test, exact."""


def compare(first_right_N: np.ndarray, second_right_N: np.ndarray, *, seed: int = 0) -> Comparison:
    """Compare what two models have right.

    Args:
        first_right_N: bool, for each picture.
        second_right_N: likewise, of the same pictures in the same order.
        seed: of the resamples for the interval (paired bootstrap).
    """
    from scipy.stats import binomtest

    count = len(first_right_N)
    only_first = int((first_right_N & ~second_right_N).sum())
    only_second = int((second_right_N & ~first_right_N).sum())
    differing = only_first + only_second
    p_value = binomtest(only_first, differing, 0.5).pvalue if differing else 1.0
    shares = np.array([only_first, only_second, count - differing]) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=RESAMPLES)
    return Comparison(
        count=count,
        accuracies=(float(first_right_N.mean()), float(second_right_N.mean())),
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / count,
        interval=between_quantiles((drawn[:, 1] - drawn[:, 0]) / count),
        p_value=float(p_value),
    )
