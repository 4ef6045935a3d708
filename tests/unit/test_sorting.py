import pytest

from frostline.errors import UsageError
from frostline.predictor import Prediction
from frostline.sorting import Sorter

CLASSES = ("ants", "蜜蜂")


def pictures(tmp_path):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made.append(tmp_path / folder / "x.png")
        made[-1].write_text(folder)
    return made


@pytest.mark.parametrize("as_copies", [False, True])
def test_each_picture_lands_once_in_the_folder_of_its_class(tmp_path, as_copies):
    first, second = pictures(tmp_path)
    for _ in range(2):  # a second time changes nothing
        sorter = Sorter(tmp_path / "sorted", CLASSES, as_copies=as_copies)
        assert sorter.put(Prediction(str(first), (("ants", 0.9),)))
        assert sorter.put(Prediction(str(second), (("ants", 0.8),)))
        assert sorter.put(Prediction(str(second), (("蜜蜂", 0.4),), unsure=True))
        assert not sorter.put(Prediction("bad.png", error="damaged"))
        assert not sorter.put(Prediction("http://127.0.0.1/x.png", (("ants", 0.8),)))
    found = {path.relative_to(tmp_path / "sorted").as_posix(): path for path in (tmp_path / "sorted").rglob("*.png")}
    assert {name: path.read_text() for name, path in found.items()} == {
        **{"ants/x.png": "one", "ants/x-2.png": "two", "unsure/x.png": "two"},
    }
    assert all(path.is_symlink() != as_copies for path in found.values())
    assert [path.read_text() for path in (first, second)] == ["one", "two"]


def test_a_file_that_was_there_is_never_replaced(tmp_path):
    first, _ = pictures(tmp_path)
    (tmp_path / "sorted" / "ants").mkdir(parents=True)
    (tmp_path / "sorted" / "ants" / "x.png").write_text("mine")
    Sorter(tmp_path / "sorted", CLASSES, as_copies=False).put(Prediction(str(first), (("ants", 0.9),)))
    assert (tmp_path / "sorted" / "ants" / "x.png").read_text() == "mine"
    assert (tmp_path / "sorted" / "ants" / "x-2.png").read_text() == "one"


def test_what_cannot_be_sorted_is_told(tmp_path):
    with pytest.raises(UsageError, match="rename the class"):
        Sorter(tmp_path / "s", ("ants", "unsure"), as_copies=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make"):
        Sorter(tmp_path / "file", CLASSES, as_copies=False)
