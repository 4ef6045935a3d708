import csv

from frostline.evaluation.reads import note_read


def test_every_look_is_written_down(tmp_path):
    path = tmp_path / "test_reads.csv"
    first = note_read(path, "train", 0.9, ["b", "a"])
    second = note_read(path, "evaluate", 0.9, ["a", "b"])
    other = note_read(path, "evaluate", 0.8, ["a"])
    assert (first.number, second.number, other.number) == (1, 2, 3)
    assert first.digest == second.digest != other.digest
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["by"] for row in rows] == ["train", "evaluate", "evaluate"]
    assert rows[0]["time"].endswith("+00:00")


def test_another_answer_of_the_test_set_is_another_read(tmp_path):
    path = tmp_path / "test_reads.csv"
    first = note_read(path, "train", 0.5, ["a", "b"], once=True)
    assert note_read(path, "train", 0.5, ["b", "a"], once=True) == first
    others = [note_read(path, "train", *seen, once=True) for seen in ((0.75, ["a", "b"]), (0.5, ["a", "c"]))]
    assert [read.number for read in (first, *others)] == [1, 2, 3]
    assert note_read(path, "train", 0.5, ["a", "b"]).number == 4
