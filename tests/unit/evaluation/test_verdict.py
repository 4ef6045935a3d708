import pytest

from frostline.evaluation.curve import Point
from frostline.evaluation.verdict import verdict
from frostline.training.history import EpochRow, History


def history(*accuracies):
    told = History()
    for epoch, (train, val) in enumerate(accuracies, 1):
        told.add(EpochRow(1, epoch, 0.1, train, 0.1, val, 1e-3, 1.0, 1.0, True))
    return told


def codes(accuracies, curve=(), measured=2000, interval=(0.9, 0.95), issues=0, count=100):
    return [one["code"] for one in verdict(history(*accuracies), curve, measured, interval, issues, count)]


@pytest.mark.parametrize(
    ("accuracies", "code"),
    [
        ([(0.99, 0.8)], "overfits"),
        ([(0.85, 0.6)], "overfits"),
        ([(0.4, 0.3), (0.45, 0.28)], "underfits"),
        ([(0.95, 0.94)], "fits"),
        ([(0.5, 0.5), (0.6, 0.62)], "still_learning"),
        ([(0.6, 0.62), (0.64, 0.6)], "underfits"),
        ([(1.0, 0.9), (0.88, 0.85)], "overfits"),
    ],
)
def test_training_beside_validation(accuracies, code):
    assert codes(accuracies) == [code]


def test_more_pictures_help_while_the_curve_rises():
    steep = [Point(0.5, 50, 0.8), Point(1.0, 100, 0.85)]
    flat = [Point(0.5, 50, 0.845), Point(1.0, 100, 0.85)]
    assert codes([(0.95, 0.94)], steep) == ["fits", "more_helps"]
    assert codes([(0.95, 0.94)], flat) == ["fits", "more_is_little"]
    assert codes([(0.95, 0.94)], steep, measured=20) == ["fits", "more_is_unclear"]


def test_doubtful_labels_and_a_small_test_are_told():
    assert codes([(0.95, 0.94)], issues=3) == ["fits", "labels"]
    assert codes([(0.95, 0.94)], interval=(0.7, 0.9)) == ["fits", "few_to_measure"]
