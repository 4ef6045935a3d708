import json
import pickle
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frostline.data.sources import open_source
from frostline.data.tables import _check_rows, open_table
from frostline.errors import DataError, DecodeError


@pytest.fixture
def folder(tmp_path):
    """A folder with two files to point at; their content does not matter here."""
    for name in ("1.png", "2.png"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(name.encode())
    return tmp_path


def csv(folder, *lines, encoding="utf-8"):
    file = folder / "my list.csv"
    file.write_text("\n".join(lines) + "\n", encoding=encoding)
    return file


def parquet(folder, columns, metadata=None, **options):
    table = pa.table(columns)
    file = folder / "set.parquet"
    pq.write_table(table.replace_schema_metadata(metadata), file, **options)
    return file


def test_csv(folder):
    file = csv(folder, "label,path,extra", "ant,images/2.png,3", f"bee,{folder / 'images' / '1.png'},x")
    source = open_source(str(file), cache_dir=folder)
    assert [(row.path, row.label, row.split, row.group) for row in source.pictures] == [
        ("images/2.png", "ant", None, None),
        ("images/1.png", "bee", None, None),
    ]
    assert (source.name, source.classes, source.ignored) == ("my-list", None, ())
    assert source.read(0) == b"2.png"
    assert pickle.loads(pickle.dumps(source)).read(1) == b"1.png"


def test_csv_with_split_and_group_and_byte_order_mark(folder):
    file = csv(
        folder, "path,label,split,group", "images/1.png,a,Valid,g1", "images/2.png,b,TEST,", encoding="utf-8-sig"
    )
    assert [(row.split, row.group) for row in open_table(file).pictures] == [("val", "g1"), ("test", None)]


@pytest.mark.parametrize("label", ["007", "1e3", "NA", "null", "true", "2020-01-01", "Blüte", "红"])
def test_csv_labels_stay_as_they_are_written(folder, label):
    file = csv(folder, "path,label", f"images/1.png,{label}", "images/2.png, other ")
    assert [row.label for row in open_table(file).pictures] == [label, "other"]


def test_csv_with_line_breaks_in_another_column(folder):
    file = csv(folder, "path,label,caption", 'images/1.png,a,"two\nlines"', "images/2.png,b,one")
    assert [row.label for row in open_table(file).pictures] == ["a", "b"]


def test_csv_written_on_windows(folder):
    file = csv(folder, "path,label", "images\\1.png,a", ".\\images\\2.png,b")
    assert [row.path for row in open_table(file).pictures] == ["images/1.png", "images/2.png"]


def test_a_path_outside_the_folder_stays_absolute(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "3.png"
    outside.write_bytes(b"3.png")
    source = open_table(csv(folder, "path,label", f"{outside},a", "images/2.png,b"))
    assert source.pictures[0].path == outside.as_posix()
    assert source.read(0) == b"3.png"


def test_an_empty_split_column_is_no_split(folder):
    source = open_table(csv(folder, "path,label,split", "images/1.png,a,", "images/2.png,b,"))
    assert [row.split for row in source.pictures] == [None, None]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("file,label", "1,a"), "lacks the column path; it has file, label"),
        (("path,class", "1,a"), "lacks the column label; it has path, class"),
        (("path;label", "1;a"), "lacks the column path and label; it has path;label.*commas"),
        (("image,label", "1,a"), "lacks the column path; it has image, label"),
        (("path,label,label", "1,a,b"), "the column label twice"),
        (("path,label",), "has no rows"),
        (("path,label", "images/1.png,a", "images/2.png,"), "no label in row 2"),
        (("path,label", ",a"), "no path in row 1"),
        (("path,label,split", "images/1.png,a,train", "images/2.png,a,dev"), r"unknown split 'dev' in row 2 \(1 such"),
        (
            ("path,label,split", "images/1.png,a,train", "images/2.png,a,"),
            "unknown split '' in row 2.*train, val",
        ),
        (
            ("path,label", *(f"no{n}.png,a" for n in range(5))),
            "5 of 5 files do not exist: no0.png, .* and 2 more",
        ),
        (("path,label", "images,a"), "1 of 1 files do not exist: images;"),
        (("path,label", "images/1.png,a,b"), "cannot be read: .*Expected 2 columns"),
    ],
)
def test_bad_csv(folder, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        open_table(csv(folder, *lines))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_csv_that_is_not_utf8(folder, encoding):
    with pytest.raises(DataError, match=r"cannot be read.*UTF-8"):
        open_table(csv(folder, "path,label", "images/1.png,Blüte", encoding=encoding))


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_empty_file(folder, name):
    (folder / name).touch()
    with pytest.raises(DataError, match="cannot be read"):
        open_table(folder / name)


def test_parquet_of_paths(folder):
    columns = {
        "path": ["images/1.png", "images/2.png"],
        "label": [3, 12],
        "split": ["train", "test"],
        "group": [5, None],
    }
    source = open_table(parquet(folder, columns))
    assert [(row.label, row.split, row.group) for row in source.pictures] == [("3", "train", "5"), ("12", "test", None)]
    assert source.read(1) == b"2.png"


def test_parquet_of_bytes_over_several_row_groups(folder):
    contents = [bytes([number]) * 3 for number in range(7)]
    source = open_table(parquet(folder, {"image": contents, "label": list("abcabca")}, row_group_size=3))
    assert [source.read(position) for position in (6, 0, 3, 2, 5, 1, 4)] == [contents[i] for i in (6, 0, 3, 2, 5, 1, 4)]
    assert source.pictures[6].path == "row/00006"
    assert source.name == "set"
    assert pickle.loads(pickle.dumps(source)).read(4) == contents[4]


def test_parquet_of_bytes_and_paths_shows_the_paths(folder):
    source = open_table(parquet(folder, {"image": [b"1", b"2"], "path": ["x/1.png", "x/2.png"], "label": ["a", "b"]}))
    assert [row.path for row in source.pictures] == ["x/1.png", "x/2.png"]
    assert source.read(1) == b"2"


def test_hugging_face_parquet(folder):
    images = [
        {"bytes": b"one", "path": "1.png"},
        {"bytes": None, "path": "images/2.png"},
        {"bytes": None, "path": None},
    ]
    features = {"info": {"features": {"label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}
    file = parquet(folder, {"image": images, "label": [1, 0, 0]}, {"huggingface": json.dumps(features)})
    source = open_table(file)
    assert [row.label for row in source.pictures] == ["bee", "ant", "ant"]
    assert source.classes == ("ant", "bee")
    assert [row.path for row in source.pictures] == ["row/00000", "row/00001", "row/00002"]
    assert source.read(0) == b"one"
    assert source.read(1) == b"2.png"
    with pytest.raises(DecodeError, match="the row holds no picture"):
        source.read(2)


def test_hugging_face_paths_are_shown_when_they_tell_rows_apart(folder):
    images = [{"bytes": b"1", "path": "b.png"}, {"bytes": b"2", "path": "a.png"}]
    source = open_table(parquet(folder, {"image": images, "label": ["x", "y"]}))
    assert [row.path for row in source.pictures] == ["b.png", "a.png"]


def test_unknown_hugging_face_label(folder):
    features = {"info": {"features": {"label": {"names": ["ant"], "_type": "ClassLabel"}}}}
    with pytest.raises(DataError, match="no label in row 2"):
        open_table(parquet(folder, {"image": [b"1", b"2"], "label": [0, -1]}, {"huggingface": json.dumps(features)}))


def test_categorical_columns(folder):
    columns = {"image": [b"1", b"2"], "label": ["a", "b"], "split": ["train", "val"]}
    coded = {
        name: pa.array(values).dictionary_encode() if name != "image" else values for name, values in columns.items()
    }
    source = open_table(parquet(folder, coded))
    assert [(row.label, row.split) for row in source.pictures] == [("a", "train"), ("b", "val")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"bytes": [b"1"], "label": ["a"]}, "lacks the column path or image; it has bytes, label"),
        ({"image": [b"1"], "label": [1.5]}, "column label is double; strings and integers"),
        ({"image": [b"1"], "label": pa.array([None], pa.string())}, "no label in row 1"),
        ({"image": ["1.png"], "label": ["a"]}, "column image is string; allowed are the bytes"),
        ({"image": [[1, 2]], "label": ["a"]}, "column image is list"),
    ],
)
def test_bad_parquet(folder, columns, message):
    with pytest.raises(DataError, match=message) as caught:
        open_table(parquet(folder, columns))
    assert "\n" not in str(caught.value)


def test_parquet_damaged_after_opening(folder):
    file = parquet(folder, {"image": [b"1", b"2"], "label": ["a", "b"]})
    source = open_table(file)
    file.write_bytes(b"PAR1 something else PAR1")
    with pytest.raises(DecodeError, match="row group 0 cannot be read"):
        source.read(0)


def of_bytes(*values):
    """A column that claims to be text, of any bytes."""
    binary = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(binary), binary.buffers()[1], binary.buffers()[2])


@pytest.mark.parametrize("column", ["path", "label", "split", "group"])
def test_parquet_text_that_is_none_is_refused(folder, column):
    columns = {"path": ["images/1.png"], "label": ["a"], "split": ["train"], "group": ["g"]}
    file = parquet(folder, columns | {column: of_bytes(b"\xc2")})
    with pytest.raises(DataError, match=r"cannot be read: .*UTF8"):
        open_table(file)


@pytest.mark.parametrize(
    "image",
    [
        pa.array([{"bytes": b"1", "path": b"1.png"}]),
        pa.array([{"bytes": "1", "path": "1.png"}]),
        pa.StructArray.from_arrays([pa.array([b"1"]), pa.array([b"2"])], ["bytes", "bytes"]),
    ],
    ids=["path of bytes", "bytes of text", "bytes twice"],
)
def test_parquet_pictures_of_other_types_are_refused(folder, image):
    with pytest.raises(DataError, match=r"the column image is struct<.* allowed are the bytes of a picture file"):
        open_table(parquet(folder, {"image": image, "label": ["a"]}))


@pytest.mark.parametrize(("groups", "total"), [([5 * 10**10], 5 * 10**10), ([3, 4], 8), ([-1, 3], 2)])
def test_parquet_that_promises_more_rows_than_it_can_hold_is_refused(folder, groups, total):
    """Arrow makes room for all of them before it looks."""
    file = parquet(folder, {"path": ["images/1.png"], "label": ["a"]})
    rows = SimpleNamespace(
        num_rows=total, num_row_groups=len(groups), row_group=lambda i: SimpleNamespace(num_rows=groups[i])
    )
    with pytest.raises(DataError, match=rf"it promises {sum(groups)} rows, which it cannot hold"):
        _check_rows(rows, file)


def test_a_row_that_its_group_does_not_reach_is_damaged(folder):
    source = open_table(parquet(folder, {"image": [b"1", b"2"], "label": ["a", "b"]}))
    parquet(folder, {"image": [b"1"], "label": ["a"]})
    assert source.read(0) == b"1"
    with pytest.raises(DecodeError, match="row group 0 ends before the row"):
        source.read(1)


@pytest.mark.parametrize("path", ["x" * 5000 + ".png", "images/1.png\0"])
def test_a_path_that_no_file_can_have_is_refused(folder, path):
    with pytest.raises(DataError, match="1 of 1 files do not exist"):
        open_table(parquet(folder, {"path": [path], "label": ["a"]}))
    image = pa.array([{"bytes": None, "path": path}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    source = open_table(parquet(folder, {"image": image, "label": ["a"]}))
    with pytest.raises(DecodeError, match="cannot be opened"):
        source.read(0)
