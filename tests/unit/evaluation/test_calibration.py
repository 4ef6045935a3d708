import numpy as np
import pytest

from frostline.evaluation.calibration import error_by_chance, expected_error, fit_temperature, reliability


def drawn(temperature, count=4000, classes=5, seed=0):
    """Logits that are too sure by this temperature, and labels drawn from what they should have said."""
    draw = np.random.default_rng(seed)
    honest = draw.normal(size=(count, classes)) * 2
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([draw.choice(classes, p=row) for row in probabilities])
    return honest * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(temperature):
    logits, labels = drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_dividing_by_it_lowers_the_error_and_changes_no_prediction():
    logits, labels = drawn(3.0)
    mended = logits / fit_temperature(logits, labels)
    before, after = (expected_error(reliability(softmax(values), labels)) for values in (logits, mended))
    assert after < 0.3 * before
    assert (mended.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_few_pictures_without_a_mistake_do_not_make_certain():
    """The least log loss would be that of a temperature of nothing, of however few pictures."""
    logits, labels = np.tile([[9.0, 0.0, -9.0], [0.0, 9.0, -9.0]], (10_000, 1)), np.tile([0, 1], 10_000)
    few, some, many = (fit_temperature(logits[:count], labels[:count]) for count in (6, 200, 20_000))
    assert few > 1.5 > some > 1 > many > 0.5


def test_a_class_that_is_out_of_question_changes_nothing():
    logits, labels = drawn(3.0, count=50)
    without = np.column_stack([logits, np.full(50, -1000.0)])
    assert fit_temperature(without, labels) == pytest.approx(fit_temperature(logits, labels))


def test_a_small_sample_moves_it_less():
    """On average: of ten pictures, one sample says more and another less."""
    few, many = (
        np.mean([np.log(fit_temperature(*drawn(3.0, count=count, seed=seed))) for seed in range(100)])
        for count in (10, 1000)
    )
    assert 0 < few < 0.9 * many


def test_bins_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.4, 0.6], [1.0, 0.0]])
    bins = reliability(probabilities, np.array([0, 1, 1, 0]))
    assert [one.count for one in bins] == [1, 2, 1]
    assert [one.accuracy for one in bins] == [1, 0.5, 1]
    assert [one.confidence for one in bins] == pytest.approx([0.6, 0.91, 1.0])
    assert all(one.low < one.confidence <= one.high for one in bins)
    assert expected_error(bins) == pytest.approx((0.4 + 2 * 0.41 + 0) / 4)


def test_the_error_of_a_calibrated_model_is_that_of_chance():
    """Of labels drawn from the probabilities themselves; many pictures leave little of it."""
    draw, errors, chances = np.random.default_rng(0), [], []
    for count in (100, 10_000):
        probabilities = draw.dirichlet((2.0, 1.0, 0.5), size=count)
        drawn_labels = [(probabilities.cumsum(axis=1) < draw.random((count, 1))).sum(axis=1) for _ in range(50)]
        errors.append(np.mean([expected_error(reliability(probabilities, labels)) for labels in drawn_labels]))
        chances.append(error_by_chance(probabilities))
    assert chances == pytest.approx(errors, rel=0.1)
    assert chances[1] < 0.2 * chances[0]


def test_chance_is_nothing_where_all_is_certain():
    assert error_by_chance(np.eye(3)) == 0


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
