import numpy as np
import pytest
from scipy.stats import binom

from frostline.evaluation.compare import compare


def right(count, *wrong):
    values = np.ones(count, dtype=bool)
    values[list(wrong)] = False
    return values


def test_what_only_one_has_right_decides():
    found = compare(right(100, 0, 1, 2, 3, 4), right(100, 4, 5))
    assert (found.only_first, found.only_second) == (1, 4)
    assert found.accuracies == (0.95, 0.98)
    assert found.difference == pytest.approx(0.03)
    assert found.p_value == pytest.approx(2 * binom.cdf(1, 5, 0.5))
    assert found.interval[0] <= 0 < found.interval[1]


def test_the_same_answers_are_no_difference():
    found = compare(right(10, 1), right(10, 1))
    assert (found.difference, found.p_value, found.interval) == (0, 1, (0, 0))


def test_a_clear_difference():
    found = compare(right(200, *range(40)), right(200))
    assert found.p_value < 1e-9
    assert 0 < found.interval[0] < 0.2 < found.interval[1]


def test_turned_round_it_is_the_opposite():
    one, other = compare(right(50, 0, 1, 2), right(50, 9)), compare(right(50, 9), right(50, 0, 1, 2))
    assert one.p_value == other.p_value
    assert one.difference == -other.difference
