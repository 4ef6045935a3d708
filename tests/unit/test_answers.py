import csv
import io
import json

import pyarrow.parquet
import pytest

from frostline.answers import FORMATS, format_of, save_answers, write_answers
from frostline.errors import UsageError
from frostline.predictor import Prediction

ANSWERS = (
    Prediction("a,1.png", (("ants", 0.75), ('"bees"', 0.25))),
    Prediction("\x1b[31mbad.png", error="truncated JPEG"),
    Prediction("多.png", (('"bees"', 0.5000004), ("ants", 0.4999996)), unsure=True),
)
COLUMNS = ["path", "top1", "p1", "top2", "p2", "unsure"]


def text(format, answers=ANSWERS):
    file = io.StringIO()
    write_answers(iter(answers), format, 2, file)
    return file.getvalue()


def test_csv_has_a_row_for_each_picture_that_was_read():
    rows = list(csv.reader(io.StringIO(text("csv"))))
    assert rows == [
        COLUMNS,
        ["a,1.png", "ants", "0.750000", '"bees"', "0.250000", "false"],
        ["多.png", '"bees"', "0.500000", "ants", "0.500000", "true"],
    ]
    assert text("csv", ()) == "path,top1,p1,top2,p2,unsure\n"


def test_json_has_an_object_for_every_picture():
    objects = json.loads(text("json"))
    assert [json.loads(line) for line in text("jsonl").splitlines()] == objects
    assert objects[0]["top"] == [{"class": "ants", "probability": 0.75}, {"class": '"bees"', "probability": 0.25}]
    assert [one["unsure"] for one in objects] == [False, False, True]
    assert [one["error"] for one in objects] == [None, "truncated JPEG", None]


def test_the_table_marks_what_is_unsure_and_shows_no_control_characters():
    header, _, first, bad, unsure = text("table").splitlines()
    assert header.split() == ["picture", "prediction"]
    assert first.endswith('ants 75.0%  "bees" 25.0%')
    assert "\x1b" not in bad
    assert bad.endswith("not read: truncated JPEG")
    assert 'unsure: "bees" 50.0%' in unsure


@pytest.mark.parametrize("format", FORMATS)
def test_a_name_that_is_no_text_is_escaped(tmp_path, format):
    answers = [Prediction("bad\udcff.png", ANSWERS[0].top), ANSWERS[2]]
    save_answers(iter(answers), format, 2, tmp_path / "out")
    content = (tmp_path / "out").read_bytes()
    escaped = {"table": rb"bad\udcff.png", "json": rb"bad\\xff.png", "jsonl": rb"bad\\xff.png"}
    assert escaped.get(format, rb"bad\xff.png") in content
    assert "多".encode() in content


def test_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr("frostline.answers.AT_ONCE", 1)
    save_answers(iter(ANSWERS), "parquet", 2, tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == COLUMNS
    assert table.to_pylist()[1] == dict(
        zip(COLUMNS, ["多.png", '"bees"', 0.5000004, "ants", 0.4999996, True], strict=True)
    )
    assert table.num_rows == 2


def test_a_file_is_whole_or_absent(tmp_path):
    def failing():
        yield ANSWERS[0]
        raise RuntimeError("power cut")

    (tmp_path / "a.csv").write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError):
        save_answers(failing(), "csv", 2, tmp_path / "a.csv")
    assert [(one.name, one.read_text("utf-8")) for one in tmp_path.iterdir()] == [("a.csv", "old")]
    save_answers(iter(ANSWERS), "csv", 2, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text("utf-8") == text("csv")


def test_the_ending_tells_the_format(tmp_path):
    assert [format_of(tmp_path / f"x.{name}") for name in FORMATS[1:]] == list(FORMATS[1:])
    with pytest.raises(UsageError, match="no known ending"):
        format_of(tmp_path / "x.xls")
    with pytest.raises(UsageError, match="cannot write --out"):
        save_answers(iter(ANSWERS), "csv", 2, tmp_path / "none" / "a.csv")
