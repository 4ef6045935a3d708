import errno
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data.pictures import first_few, natural_key, path_key, read_file, short_name
from frostline.data.sources import open_source
from frostline.errors import DataError, DecodeError


@pytest.fixture
def opened(tmp_path):
    """Open DATA with a cache that nothing may be put into."""
    return lambda data: open_source(str(data), cache_dir=tmp_path / "no-cache")


def fill(root, *paths):
    """Write a tiny picture, or an empty file, at each path."""
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in (".png", ".jpg"):
            Image.new("L", (2, 2), number).save(file, "PNG")
        else:
            file.touch()
    return root


def rows(source):
    return [(picture.path, picture.label, picture.split) for picture in source.pictures]


def test_class_folders(tmp_path, opened):
    root = fill(tmp_path / "Ants & bees", "bees/img10.png", "bees/img2.png", "Ants/x.PNG", "ants2/y.jpg")
    source = opened(root)
    assert rows(source) == [
        ("Ants/x.PNG", "Ants", None),
        ("ants2/y.jpg", "ants2", None),
        ("bees/img2.png", "bees", None),
        ("bees/img10.png", "bees", None),
    ]
    assert (source.name, source.classes, source.ignored) == ("Ants-bees", None, ())
    assert source.read(3) == (root / "bees/img10.png").read_bytes()
    assert all(picture.group is None for picture in source.pictures)


def test_a_relative_folder_outlives_a_change_of_directory(tmp_path, opened, monkeypatch):
    fill(tmp_path / "photos", "a/1.png", "b/1.png")
    monkeypatch.chdir(tmp_path)
    source = opened("photos/")
    monkeypatch.chdir("/")
    assert source.name == "photos"
    assert source.read(0).startswith(b"\x89PNG")


def test_sources_can_be_pickled(tmp_path, opened):
    source = opened(fill(tmp_path / "d", "a/1.png", "b/1.png"))
    copy = pickle.loads(pickle.dumps(source))
    assert copy.pictures == source.pictures
    assert copy.read(1) == source.read(1)


def test_pictures_in_sub_folders(tmp_path, opened):
    source = opened(fill(tmp_path, "a/2019/rome/1.png", "a/0.png", "b/1.png"))
    assert rows(source) == [("a/0.png", "a", None), ("a/2019/rome/1.png", "a", None), ("b/1.png", "b", None)]


def test_every_allowed_ending_counts_in_any_case(tmp_path, opened):
    endings = ("jpg", "JPEG", "jpe", "jfif", "png", "webp", "bmp", "tif", "TIFF", "gif")
    source = opened(fill(tmp_path, "b/1.png", *(f"a/{number}.{ending}" for number, ending in enumerate(endings))))
    assert len(source.pictures) == 11


def test_hidden_and_system_files_are_ignored_with_the_rest(tmp_path, opened):
    hidden = ("._1.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/1.png", "__MACOSX/1.png")
    fill(tmp_path, "a/1.png", "b/1.png", "__MACOSX/a/1.png", ".cache/x/1.png", *(f"a/{name}" for name in hidden))
    source = opened(fill(tmp_path, "a/notes.txt", "b/deep/raw.psd", "loose.png", "README.md"))
    assert [row[0] for row in rows(source)] == ["a/1.png", "b/1.png"]
    assert {one.outcome for one in source.ignored} == {"ignored"}
    assert [(one.path, one.reason) for one in source.ignored] == [
        (".cache/x/1.png", "in a folder that is hidden"),
        ("__MACOSX/a/1.png", "in a folder that is left behind by an operating system"),
        ("a/._1.jpg", "hidden"),
        ("a/.DS_Store", "hidden"),
        ("a/.ipynb_checkpoints/1.png", "in a folder that is hidden"),
        ("a/__MACOSX/1.png", "in a folder that is left behind by an operating system"),
        ("a/desktop.ini", "left behind by an operating system"),
        ("a/notes.txt", "not a picture by its name"),
        ("a/Thumbs.db", "left behind by an operating system"),
        ("b/deep/raw.psd", "not a picture by its name"),
        ("loose.png", "not in a class folder"),
        ("README.md", "not a picture by its name"),
    ]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_given_splits(tmp_path, opened, val):
    paths = ("train/a/1.png", "train/b/1.png", f"{val}/a/2.png", "test/b/3.png", "labels.txt", ".hidden/x.png")
    source = opened(fill(tmp_path, *paths))
    assert set(rows(source)) == {
        ("train/a/1.png", "a", "train"),
        ("train/b/1.png", "b", "train"),
        (f"{val}/a/2.png", "a", "val"),
        ("test/b/3.png", "b", "test"),
    }
    assert [one.path for one in source.ignored] == [".hidden/x.png", "labels.txt"]


def test_train_alone(tmp_path, opened):
    source = opened(fill(tmp_path, "train/a/1.png", "train/b/1.png"))
    assert {picture.split for picture in source.pictures} == {"train"}


def test_train_can_be_a_class(tmp_path, opened):
    source = opened(fill(tmp_path, "train/1.png", "bus/1.png"))
    assert rows(source) == [("bus/1.png", "bus", None), ("train/1.png", "train", None)]


def test_an_empty_class_outside_train_is_harmless(tmp_path, opened):
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png")
    (tmp_path / "val" / "b").mkdir()
    assert len(opened(tmp_path).pictures) == 3


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("train/a/1.png", "train/b/1.png", "extra/a/1.png"), "extra/ stands next to train/"),
        (("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"), "val, valid name the same split twice"),
        (("1.png", "2.png"), r"pictures directly in it \(1.png, 2.png\): one folder per class is expected"),
        (("train/1.png", "test/a/1.png"), r"train has pictures directly in it"),
        (("train/a/1.png", "train/b/1.png", "test/1.png"), r"test has pictures directly in it"),
        (("notes.txt",), "no folders in it: one folder per class"),
        (("a/1.png",), r"only one class \(a\)"),
        (("train/a/1.png", "test/b/1.png"), r"only one class \(a\)"),
        (("a/1.png", "b/readme.txt"), "class folder b/ holds no pictures"),
        (("train/a/1.png", "train/b/x.txt", "test/a/1.png"), "class folder train/b/ holds no pictures"),
    ],
)
def test_folders_that_make_no_training(tmp_path, opened, paths, message):
    with pytest.raises(DataError, match=message) as caught:
        opened(fill(tmp_path, *paths))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", ["", "no/such/folder", "imagenet", "C:\\photos"])
def test_unknown_data_lists_what_there_is(opened, data):
    with pytest.raises(
        DataError, match=r"folder of class folders.*\.csv or \.parquet.*digits, cifar10, fashion-mnist, mnist"
    ):
        opened(data)


def test_other_files_are_no_manifests(tmp_path, opened):
    with pytest.raises(DataError, match=r"must end in \.csv or \.parquet"):
        opened(fill(tmp_path, "labels.xlsx") / "labels.xlsx")


needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@needs_links
def test_links_are_followed_and_circles_end(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png")
    elsewhere = fill(tmp_path / "elsewhere", "far.png", "deep/x.png")
    (root / "a" / "linked.png").symlink_to(elsewhere / "far.png")
    (root / "b" / "linked").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (root / "loop").symlink_to(root)
    (elsewhere / "deep" / "self").symlink_to(elsewhere / "deep")
    source = opened(root)
    assert [row[0] for row in rows(source)] == [
        "a/1.png",
        "a/linked.png",
        "b/1.png",
        "b/linked/deep/x.png",
        "b/linked/far.png",
    ]


@needs_links
def test_dead_links_are_left_out(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png")
    (root / "a" / "dead.png").symlink_to(root / "gone.png")
    (root / "a" / "self.png").symlink_to(root / "a" / "self.png")
    source = opened(root)
    assert len(source.pictures) == 2
    assert [one.path for one in source.ignored] == ["a/dead.png", "a/self.png"]
    assert {one.reason for one in source.ignored} == {"a link that leads nowhere, or in a circle"}


@needs_links
def test_links_out_of_sight_are_not_followed(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png", ".hidden/x.png")
    fill(tmp_path / "elsewhere", "1.png", "2.png")
    (root / ".link").symlink_to(tmp_path / "elsewhere")
    (root / ".hidden" / "link").symlink_to(tmp_path / "elsewhere")
    assert [one.path for one in opened(root).ignored] == [".hidden/x.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png")
    os.mkfifo(root / "a" / "pipe.png")
    (ignored,) = opened(root).ignored
    assert (ignored.path, ignored.reason) == ("a/pipe.png", "not a regular file")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_is_ignored_and_can_be_written_down(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png")
    (root / "a" / "1.png").rename(root / "a" / os.fsdecode(b"\xff.png"))
    fill(root, "a/2.png")
    source = opened(root)
    assert [row[0] for row in rows(source)] == ["a/2.png", "b/1.png"]
    assert [(one.path, one.reason) for one in source.ignored] == [
        ("a/\\xff.png", "its name is not valid UTF-8; rename it")
    ]


def test_a_class_folder_with_a_line_end_is_refused_even_when_it_is_empty(tmp_path, opened):
    root = fill(tmp_path / "d", "a/1.png", "b/1.png")
    (root / "c\nd").mkdir()
    with pytest.raises(DataError, match=r"the class name 'c\\nd' holds a control character") as refused:
        opened(root)
    assert "\n" not in str(refused.value)


def test_a_picture_that_vanished_is_a_decode_error(tmp_path, opened):
    source = opened(fill(tmp_path, "a/1.png", "b/1.png"))
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(DecodeError, match="cannot be opened: No such file"):
        source.read(0)
    with pytest.raises(DecodeError, match="cannot be opened"):
        read_file(Path(tmp_path))


def test_too_many_open_files_are_no_damage(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(DataError, match=r"too many open files.*ulimit -n.*--workers 0"):
        read_file(tmp_path / "x.png")


def test_a_file_larger_than_memory_is_left_out(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(DecodeError, match="larger than the memory"):
        read_file(tmp_path / "x.png")


def test_names_come_before_folders(tmp_path, opened, monkeypatch):
    fill(tmp_path / "digits", "a/1.png", "b/1.png")
    monkeypatch.chdir(tmp_path)
    assert isinstance(opened("digits").read(0), np.ndarray)
    assert len(opened("./digits").pictures) == 2


def test_natural_order():
    names = ["img10", "IMG2", "img2", "img02", "img1b", "Img1a", "7", "x" + "9" * 5000, "x8"]
    ordered = ["7", "Img1a", "img1b", "IMG2", "img02", "img2", "img10", "x8", "x" + "9" * 5000]
    assert sorted(names, key=natural_key) == ordered
    assert sorted(reversed(names), key=natural_key) == ordered


def test_paths_are_ordered_folder_by_folder():
    assert sorted(["a b/1", "a/2", "a/10", "a"], key=path_key) == ["a", "a/2", "a/10", "a b/1"]


def test_short_name():
    assert [short_name(text) for text in ("hymenoptera", "my photos (2)", "..", "Blüten")] == [
        "hymenoptera",
        "my-photos-2",
        "data",
        "Blüten",
    ]


def test_first_few():
    assert first_few([1, 2]) == "1, 2"
    assert first_few([1, 2, 3, 4, 5]) == "1, 2, 3 and 2 more"
