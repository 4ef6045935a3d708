import numpy as np
import pytest
import torch

from frostline.evaluation.curve import SHARES, learning_curve
from frostline.evaluation.folds import dealt_into_folds, out_of_fold
from frostline.evaluation.labels import label_issues


def clouds(count=300, classes=3, spread=0.6):
    """Features about a centre for each class, and the classes."""
    draw = np.random.default_rng(1)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(0).normal(size=(classes, 8)) * 2
    return torch.tensor(centres[labels] + draw.normal(size=(count, 8)) * spread, dtype=torch.float32), labels


def test_by_hand():
    probabilities = np.array(
        [
            [0.9, 0.1],  # a, sure
            [0.2, 0.8],  # said to be a, probably b
            [0.3, 0.7],  # said to be a, but not by enough
            [0.1, 0.9],  # b
            [0.95, 0.05],  # said to be b, surely a
        ]
    )
    issues = label_issues(probabilities, np.array([0, 0, 0, 1, 1]))
    assert [(issue.place, issue.given, issue.suggested) for issue in issues] == [(4, 1, 0), (1, 0, 1)]
    assert [issue.score for issue in issues] == pytest.approx([0.9, 0.6])


def test_flipped_labels_are_found_and_the_surest_come_first():
    features, labels = clouds()
    wrong = np.random.default_rng(2).choice(len(labels), 15, replace=False)
    given = labels.copy()
    given[wrong] = (given[wrong] + 1) % 3
    probabilities = out_of_fold(features, given.tolist(), [str(i) for i in range(len(given))], 3)
    issues = label_issues(probabilities, given)
    found = {issue.place for issue in issues}
    assert len(found & set(wrong)) >= 14
    assert len(found - set(wrong)) <= 2
    assert [issue.score for issue in issues] == sorted((issue.score for issue in issues), reverse=True)
    assert all(issue.suggested == labels[issue.place] for issue in issues if issue.place in wrong)


def test_out_of_fold_probabilities_do_not_know_the_label():
    """Labels that have nothing to do with the features cannot be foretold, however many channels there are."""
    draw = np.random.default_rng(1)
    features, labels = torch.tensor(draw.normal(size=(200, 150)), dtype=torch.float32), draw.integers(0, 2, 200)
    probabilities = out_of_fold(features, labels.tolist(), [str(i) for i in range(200)], 2)
    assert 0.4 < (probabilities.argmax(axis=1) == labels).mean() < 0.6
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)


def test_folds_are_even_by_class_and_do_not_tear_units_apart():
    labels = [0] * 50 + [1] * 25
    units = [str(i // 5) for i in range(75)]
    folds = dealt_into_folds(labels, units, 5)
    assert sorted(np.concatenate(folds).tolist()) == list(range(75))
    for fold in folds:
        assert sum(labels[i] == 0 for i in fold) == 10
        assert len(fold) == 15
        assert len({units[i] for i in fold}) == 3


def test_the_learning_curve_rises_and_ends_with_all_pictures():
    features, labels = clouds(count=400, spread=2.0)
    points = learning_curve(features[:300], labels[:300].tolist(), features[300:], labels[300:].tolist(), 3)
    assert [point.share for point in points] == list(SHARES)
    assert [point.count for point in points] == [30, 60, 150, 300]
    assert points[0].accuracy < points[-1].accuracy
