import numpy as np
import pytest
from scipy.stats import binom

from frostline.evaluation.intervals import balanced_accuracy, bootstrap, macro_f1, wilson


def test_wilson_by_its_formula():
    count, share, z = 50, 0.9, 1.959963984540054
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    assert wilson(45, count) == pytest.approx((middle - half, middle + half))


@pytest.mark.parametrize(("correct", "low", "high"), [(0, 0.0, 0.2775), (10, 0.7225, 1.0)])
def test_all_or_none_right_is_not_certain(correct, low, high):
    assert wilson(correct, 10) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("truth", "count"), [(0.9, 50), (0.95, 300), (0.7, 1000)])
def test_wilson_covers_the_truth(truth, count):
    """Exactly, by summing over all outcomes: it swings about its level, and never far."""
    outcomes = np.arange(count + 1)
    covers = [low <= truth <= high for low, high in (wilson(int(k), count) for k in outcomes)]
    assert 0.92 < float(binom.pmf(outcomes, count, truth)[covers].sum()) < 0.98


def test_statistics_by_hand():
    right, there, predicted = np.array([[2.0, 1.0, 0.0]]), np.array([[3.0, 2.0, 0.0]]), np.array([[3.0, 2.0, 0.0]])
    assert balanced_accuracy(right, there, predicted) == pytest.approx([(2 / 3 + 1 / 2) / 2])
    assert macro_f1(right, there, predicted) == pytest.approx([(4 / 6 + 2 / 4) / 2])


def test_bootstrap_of_a_share_is_near_wilson():
    """Where every class has as many pictures and recalls, balanced accuracy is hardly other than accuracy."""
    confusion = np.array([[90, 10], [10, 90]])
    assert bootstrap(balanced_accuracy, confusion) == pytest.approx(wilson(180, 200), abs=0.015)


def test_bootstrap_repeats_itself_and_holds_its_point():
    confusion = np.array([[5, 1, 0], [0, 7, 2], [0, 0, 0]])
    low, high = bootstrap(macro_f1, confusion)
    assert (low, high) == bootstrap(macro_f1, confusion)
    assert 0 < low < (10 / 11 + 14 / 17) / 2 < high <= 1


def test_no_mistake_is_not_certain():
    assert bootstrap(macro_f1, np.diag([3, 4])) == wilson(7, 7)
