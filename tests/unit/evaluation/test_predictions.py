import numpy as np
import pytest

from frostline.data.index import Image
from frostline.errors import BundleError
from frostline.evaluation.predictions import (
    compare_predictions,
    predictions_csv,
    read_predictions,
    say,
    worst_mistakes,
)

CLASSES = ("a,b", "c\n")
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])


def images(split="test"):
    return [Image(i, f"p{i}.png", f"d{i}", label, split, None, f"u{i}") for i, label in enumerate([0, 0, 1, 1])]


def test_what_is_written_is_read_back(tmp_path):
    said = say(images(), CLASSES, PROBABILITIES)
    path = tmp_path / "predictions.csv"
    path.write_text(predictions_csv(said), encoding="utf-8", newline="")
    assert read_predictions(path) == said
    assert [row.predicted for row in said] == ["a,b", "c\n", "a,b", "a,b"]
    assert [row.is_right for row in said] == [True, False, False, False]


def test_the_surest_mistakes_come_first():
    worst = worst_mistakes(say(images(), CLASSES, PROBABILITIES))
    assert [row["path"] for row in worst] == ["p1.png", "p2.png", "p3.png"]
    assert worst[0] == {
        **{"path": "p1.png", "split": "test", "given": "a,b", "predicted": "c\n"},
        **{"confidence": 0.8, "of_given": 0.2},
    }


@pytest.mark.parametrize("content", ["", "path,digest\n1,2\n", "\xff"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "predictions.csv"
    path.write_bytes(content.encode("latin-1"))
    if content:
        with pytest.raises(BundleError, match=r"cannot read .*; give the folder of a run that has finished"):
            read_predictions(path)
    else:
        assert read_predictions(path) == []


def test_runs_are_compared_on_the_pictures_they_share():
    first = say(images(), CLASSES, PROBABILITIES)
    second = say(images(), CLASSES, PROBABILITIES[:, ::-1])[1:]
    split, found = compare_predictions(first, second)
    assert (split, found.count, found.only_first, found.only_second) == ("test", 3, 0, 3)


def test_runs_without_a_test_split_are_compared_on_validation():
    said = say(images("val"), CLASSES, PROBABILITIES)
    assert compare_predictions(said, said)[0] == "val"


def test_runs_on_different_pictures_cannot_be_compared():
    said = say(images(), CLASSES, PROBABILITIES)
    with pytest.raises(BundleError, match="no test or validation picture in common"):
        compare_predictions(said[:1], said[1:])
