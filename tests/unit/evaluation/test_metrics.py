import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.evaluation.intervals import of_area, wilson
from frostline.evaluation.metrics import measure

CLASSES = ("a", "b", "c")
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],  # a, right
        [0.6, 0.3, 0.1],  # a, right
        [0.1, 0.8, 0.1],  # a, taken for b
        [0.2, 0.5, 0.3],  # b, right
        [0.5, 0.3, 0.2],  # b, taken for a
    ]
)
LABELS = np.array([0, 0, 0, 1, 1])


def test_values_by_hand():
    got = measure(PROBABILITIES, LABELS, CLASSES)
    assert got.count == 5
    assert got.accuracy == pytest.approx(3 / 5)
    assert got.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)  # no picture of c, so c does not count
    assert got.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    assert got.log_loss == pytest.approx(-sum(map(math.log, (0.7, 0.6, 0.1, 0.5, 0.3))) / 5)
    assert numbers_of(got, "a") == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "auroc": 4 / 6, "count": 3}
    )
    assert numbers_of(got, "b") == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "auroc": 3.5 / 6, "count": 2}
    )
    assert numbers_of(got, "c") == {"precision": 0, "recall": 0, "f1": 0, "auroc": None, "count": 0}
    assert got.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert got.top5_accuracy == 1


def numbers_of(metrics, name):
    return {key: value for key, value in metrics.per_class[name].items() if key != "intervals"}


def test_intervals_of_a_class():
    got = measure(PROBABILITIES, LABELS, CLASSES).per_class
    assert got["a"]["intervals"] == {
        "precision": list(wilson(2, 3)),
        "recall": list(wilson(2, 3)),
        "auroc": list(of_area(4 / 6, 3, 2)),
    }
    assert got["b"]["intervals"]["recall"] == list(wilson(1, 2))
    assert got["c"]["intervals"] == {"precision": None, "recall": None, "auroc": None}


def test_a_class_that_is_never_right_counts():
    got = measure(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), ("a", "b"))
    assert (got.accuracy, got.balanced_accuracy) == (0.5, 0.5)
    assert got.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_top_five_of_more_classes():
    probabilities = np.tile(np.linspace(1, 7, 7) / 28, (7, 1))
    got = measure(probabilities, np.arange(7), tuple("abcdefg"))
    assert got.top5_accuracy == pytest.approx(5 / 7)
    assert got.accuracy == pytest.approx(1 / 7)


def test_a_probability_of_zero_is_a_large_but_finite_loss():
    got = measure(np.array([[1.0, 0.0]]), np.array([1]), ("a", "b"))
    assert got.log_loss == pytest.approx(-math.log(1e-12))


def test_one_picture():
    assert measure(np.array([[0.4, 0.6]]), np.array([1]), ("a", "b")).accuracy == 1


@given(order=st.permutations(range(5)))
def test_the_order_of_the_pictures_does_not_matter(order):
    got, expected = measure(PROBABILITIES[order], LABELS[order], CLASSES), measure(PROBABILITIES, LABELS, CLASSES)
    assert got.confusion == expected.confusion
    assert got.log_loss == pytest.approx(expected.log_loss)


def test_plain_values():
    values = measure(PROBABILITIES.astype(np.float32), LABELS, CLASSES).to_json()
    assert json.loads(json.dumps(values)) == values
    assert set(values) == {
        *("count", "accuracy", "interval", "balanced_accuracy", "macro_f1", "intervals", "log_loss", "top5_accuracy"),
        *("ece", "ece_by_chance", "reliability", "per_class", "confusion", "confused"),
    }


def test_pairs_of_classes_that_are_confused():
    predicted = np.eye(3)[[1, 1, 0, 2, 1]]
    got = measure(predicted, np.array([0, 0, 0, 2, 2]), CLASSES)
    assert got.confused == [
        {"true": "a", "predicted": "b", "count": 2, "share": pytest.approx(2 / 3)},
        {"true": "c", "predicted": "b", "count": 1, "share": 1 / 2},
    ]
