import re

import pytest

from frostline.report.charts import PERCENT, WHOLE, Axis, Line, curve_chart, line_chart
from frostline.report.words import LANGUAGES, WORDS, Words
from frostline.training.history import EpochRow


def row(stage, epoch, accuracy):
    return EpochRow(stage, epoch, 0.5, accuracy, 0.5, accuracy / 2, 1e-3, 1.0, 10.0, True)


def test_points_lie_where_they_should():
    svg = line_chart([Line("a", [(0, 0), (10, 1)], "val")], Axis("x", 0, 10), Axis("y", 0, 1), title="t")
    (points,) = re.findall(r'points="([^"]+)"', svg)
    assert points == "62.0,252.0 626.0,38.0"


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis("x", 0, 1, *WHOLE), ["0", "1"]),
        (Axis("x", 0, 40, *WHOLE), ["0", "10", "20", "30", "40"]),
        (Axis("x", 1, 3, *WHOLE), ["1", "2", "3"]),
        (Axis("x", 0.913, 1, *PERCENT), ["92%", "94%", "96%", "98%", "100%"]),
        (Axis("x", 0.98, 1, *PERCENT), ["98%", "99%", "100%"]),
        (Axis("x", 0, 0.195), ["0", "0.05", "0.1", "0.15"]),
    ],
)
def test_ticks_are_round_numbers_each_once(axis, expected):
    assert [axis.format.format(value) for value in axis.ticks()] == expected


def test_names_are_escaped():
    svg = line_chart([Line("<a>", [(0, 0)], "val")], Axis("<x>", 0, 1), Axis("&", 0, 1), title='"t')
    assert "<a>" not in svg
    assert "<x>" not in svg
    assert 'aria-label="&quot;t"' in svg


def test_stage_changes_are_marked():
    svg = curve_chart([row(1, 1, 0.5), row(2, 2, 0.6), row(2, 3, 0.7)], "accuracy", Words("en"))
    assert svg.count(">stage 2<") == 1
    assert svg.count("<polyline") == 2


def test_names_of_marks_keep_clear_of_each_other_and_of_the_edge():
    marks = [(0.0, "stage 2"), (0.5, "stage 3"), (1.0, "stage 4"), (6.0, "stage 5"), (10.0, "stage 6")]
    svg = line_chart([Line("a", [(0, 0)], "val")], Axis("x", 0, 10), Axis("y", 0, 1), marks=marks, title="t")
    found = re.findall(r'<text class="mark" x="([\d.]+)" y="(\d+)" text-anchor="(\w+)">', svg)
    heights = [int(y) for _, y, _ in found]
    assert heights[0] < heights[1] < heights[2]
    assert heights[3] == heights[4] == heights[0]
    assert [anchor for *_, anchor in found] == ["start"] * 4 + ["end"]


def test_one_epoch_and_a_loss_that_is_not_finite_can_be_drawn():
    assert "<svg" in curve_chart([row(1, 0, 0.5)], "loss", Words("zh"))
    wild = EpochRow(1, 2, float("inf"), 0.1, 1.0, 0.1, 1e-3, 1.0, 10.0, True)
    assert "nan" not in curve_chart([row(1, 1, 0.5), wild], "loss", Words("en"))


def test_every_text_has_the_same_numbers_in_both_languages():
    for key, texts in WORDS.items():
        assert len(texts) == len(LANGUAGES), key
        names = [sorted(re.findall(r"{(\w+)", text)) for text in texts]
        assert names[0] == names[1], key
