import pytest

from frostline.data.audit import audit
from frostline.data.index import Image, Index
from frostline.data.pictures import FileSource, LeftOut
from frostline.data.splitfile import read_split, skipped_csv, split_csv
from frostline.errors import BundleError


@pytest.fixture
def index(tmp_path):
    source = FileSource("x", (), tmp_path)
    images = (
        Image(0, "a/1, or 2.png", "d0", 0, "train", None, "u0"),
        Image(2, 'b/"quoted".png', "d2", 1, "val", "patient 7", "u2"),
    )
    left_out = (
        LeftOut("a/1.jpg", "refused", "too many pixels"),
        LeftOut("a/2.png", "skipped", "truncated PNG: the end"),
        LeftOut("notes.txt", "ignored", "not a picture by its name"),
    )
    return Index(source, ("a", "花"), images, left_out, audit([]))


def test_split_csv(index):
    assert split_csv(index).splitlines() == [
        "path,label,split,group,digest",
        '"a/1, or 2.png",a,train,,d0',
        '"b/""quoted"".png",花,val,patient 7,d2',
    ]


def test_skipped_csv_begins_with_what_is_damaged(index):
    assert skipped_csv(index).splitlines() == [
        "path,outcome,reason",
        "a/2.png,skipped,truncated PNG: the end",
        "a/1.jpg,refused,too many pixels",
        "notes.txt,ignored,not a picture by its name",
    ]


def test_the_split_is_read_back(index, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text(split_csv(index), encoding="utf-8")
    rows = read_split(path)
    assert [(row["path"], row["label"], row["split"], row["group"], row["digest"]) for row in rows] == [
        ("a/1, or 2.png", "a", "train", "", "d0"),
        ('b/"quoted".png', "花", "val", "patient 7", "d2"),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"path,label,split,group,digest\n", b"a,b\n1,2\n", b"path,label\n1.png,a\n", b"\xff\xfe\x00\n"]
)
def test_what_is_no_split_is_refused(tmp_path, content):
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"split\.csv"):
        read_split(path)


def test_a_missing_split_is_refused(tmp_path):
    with pytest.raises(BundleError, match="cannot read"):
        read_split(tmp_path / "split.csv")
