import numpy as np
import pytest
from scipy.special import digamma
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from frostline.evaluation.intervals import bootstrap, macro_f1, of_area, of_mean, of_mean_recall, wilson


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
    assert macro_f1(right, there, predicted) == pytest.approx([(4 / 6 + 2 / 4) / 2])


def test_the_interval_of_equal_recalls_is_near_wilson():
    """Where every class has as many pictures and recalls, balanced accuracy is hardly other than accuracy."""
    assert of_mean_recall(np.array([[90, 10], [10, 90]])) == pytest.approx(wilson(180, 200), abs=0.015)


def test_the_interval_of_one_recall_by_hand():
    """Agresti and Coull's, then; a class without pictures does not count."""
    share, count = 9 / 14, 14
    half = 1.959964 * np.sqrt(share * (1 - share) / count)
    assert of_mean_recall(np.array([[7, 3], [0, 0]])) == pytest.approx((share - half, share + half))


@pytest.mark.parametrize("counts", [(3, 4), (10,) * 100])
def test_no_mistake_is_one_end_of_the_interval(counts):
    low, high = of_mean_recall(np.diag(counts))
    assert 0 < low < high == 1


@pytest.mark.parametrize("recall", [0.6, 0.9])
def test_the_interval_of_mean_recall_covers_the_truth(recall):
    """Three classes, one of five pictures."""
    draw, held = np.random.default_rng(0), 0
    for _ in range(1000):
        counts = np.array([40, 20, 5])
        right = draw.binomial(counts, recall)
        low, high = of_mean_recall(np.diag(right) + np.roll(np.diag(counts - right), 1, axis=1))
        assert 0 <= low <= high <= 1
        held += low <= recall <= high
    assert 0.93 < held / 1000 < 0.99


def test_bootstrap_repeats_itself_and_holds_its_point():
    confusion = np.array([[5, 1, 0], [0, 7, 2], [0, 0, 0]])
    low, high = bootstrap(macro_f1, confusion)
    assert (low, high) == bootstrap(macro_f1, confusion)
    assert 0 < low < (10 / 11 + 14 / 17) / 2 < high <= 1


def test_no_mistake_is_not_certain():
    assert bootstrap(macro_f1, np.diag([3, 4])) == wilson(7, 7)


def test_the_interval_of_a_mean_is_nearly_the_normal_one():
    values = np.random.default_rng(0).normal(size=1000)
    half = 1.96 * values.std() / np.sqrt(1000)
    low, high = of_mean(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert (low, high) == of_mean(values[::-1])


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_the_interval_of_equal_values_is_empty(value):
    assert of_mean(np.array([value, value])) == (value, value)


def test_the_interval_of_a_mean_covers_the_truth_of_skewed_values():
    """Losses of a good network: most next to nothing, a few large, so more room above than below."""
    draw, sets, held = np.random.default_rng(0), 400, 0
    truth = digamma(3.0) - digamma(2.7)
    for _ in range(sets):
        values = -np.log(draw.beta(2.7, 0.3, 60))
        low, high = of_mean(values)
        assert high - values.mean() > values.mean() - low
        held += low <= truth <= high
    assert 0.93 <= held / sets <= 0.97  # between quantiles of resampled means it is 0.925


@pytest.mark.parametrize("area", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_ends_of_an_areas_interval_are_as_far_from_it_as_they_may_be(area):
    """|area - truth| is 1.96 standard errors at that truth, by the formula of Hanley and McNeil."""
    m, n = 12, 40
    low, high = of_area(area, m, n)
    assert 0 <= low <= area <= high <= 1
    assert high - low > 0.01
    for truth in {low, high} - {0.0, 1.0}:
        q1, q2 = truth / (2 - truth), 2 * truth**2 / (1 + truth)
        mean = (m + n) / 2 - 1
        variance = (truth * (1 - truth) + mean * (q1 - truth**2) + mean * (q2 - truth**2)) / (m * n)
        assert abs(area - truth) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-4)


def test_areas_intervals_cover_the_truth():
    """Scores of two normal distributions: the truth is known."""
    draw, shift, held = np.random.default_rng(0), 2.0, 0
    truth, labels = norm.cdf(shift / np.sqrt(2)), np.repeat([1, 0], [10, 40])
    for _ in range(400):
        low, high = of_area(roc_auc_score(labels, draw.normal(shift * labels)), 10, 40)
        held += low <= truth <= high
    assert 0.92 < held / 400 < 0.99
