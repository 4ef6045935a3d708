from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from frostline.data.index import Copies, build_index
from frostline.data.loader import EXAMINED_AT_ONCE
from frostline.data.sources import open_source
from frostline.errors import DataError


class Recorder:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.warned, self.advanced = [], 0

    def say(self, text):
        raise AssertionError("building an index says nothing")

    def warn(self, text):
        self.warned.append(text)

    @contextmanager
    def bar(self, total, what):
        def advance(count):
            self.advanced += count

        yield advance
        assert self.advanced == total


def write_pictures(root, **counts):
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        folder = root / name.replace("__", "/")
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return root


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


def build(root, tmp_path, **options):
    chosen = {"channels": 3, "max_pixels": 10_000, "max_damaged": 0.05, "val": 0.2, "test": None, "seed": 0}
    chosen |= {"workers": 0, "known_good": {}, "reporter": Recorder()}
    return build_index(open_source(str(root), cache_dir=tmp_path / "cache"), **{**chosen, **options})


def test_an_index_of_good_pictures(tmp_path):
    root = write_pictures(tmp_path / "d", b=10, a=10)
    reporter = Recorder()
    index = build(root, tmp_path, reporter=reporter)
    assert index.classes == ("a", "b")
    assert index.counts() == {"train": 12, "val": 4, "test": 4, "skipped": 0, "refused": 0, "ignored": 0}
    assert [image.position for image in index.images] == list(range(20))
    assert [image.label for image in index.images] == [0] * 10 + [1] * 10
    assert len({image.digest for image in index.images}) == 20
    assert (reporter.warned, reporter.advanced) == ([], 20)


def test_a_damaged_picture_is_listed_with_its_reason_and_left_out(tmp_path):
    root = write_pictures(tmp_path / "d", a=20, b=20)
    damage(root / "a" / "3.png")
    reporter = Recorder()
    index = build(root, tmp_path, reporter=reporter)
    (skipped,) = index.left_out
    assert skipped.path == "a/3.png"
    assert skipped.reason
    assert skipped.outcome == "skipped"
    assert "a/3.png" not in [image.path for image in index.images]
    assert sum(index.counts().values()) == 40
    assert reporter.warned == [f"left out 1 of 40 pictures: a/3.png ({skipped.reason})"]
    by_path = {image.path: image.position for image in index.images}
    assert all(index.source.pictures[position].path == path for path, position in by_path.items())


def test_more_damage_than_allowed_stops(tmp_path):
    root = write_pictures(tmp_path / "d", a=20, b=20)
    for number in range(3):
        damage(root / "b" / f"{number}.png")
    with pytest.raises(DataError, match=r"3 of 40 pictures are damaged, more than 5%: b/0.png .*--max-damaged"):
        build(root, tmp_path)
    assert len(build(root, tmp_path, max_damaged=3 / 40).left_out) == 3


def test_a_class_that_damage_leaves_empty_stops(tmp_path):
    root = write_pictures(tmp_path / "d", a=20, b=1)
    damage(root / "b" / "0.png")
    with pytest.raises(DataError, match="no usable training picture is left of class b"):
        build(root, tmp_path)


def test_pictures_with_too_many_pixels_are_refused_however_many(tmp_path):
    root = write_pictures(tmp_path / "d", a=4, b=4)
    for number in range(3):
        Image.new("L", (20, 20)).save(root / "a" / f"large-{number}.png")
    reporter = Recorder()
    index = build(root, tmp_path, max_pixels=399, max_damaged=0, reporter=reporter)
    assert [one.outcome for one in index.left_out] == 3 * ["refused"]
    assert index.counts()["refused"] == 3
    (warning,) = reporter.warned
    assert warning.startswith("refused 3 of 11 pictures, which are not damaged: a/large-0.png (20x20 pixels are more")


def test_a_class_that_is_refused_whole_stops(tmp_path):
    root = write_pictures(tmp_path / "d", a=2, b=2)
    with pytest.raises(DataError, match=r"training picture is left of class a, b: a/0.png \(9x9 pixels are more"):
        build(root, tmp_path, max_pixels=80)


def test_files_that_are_no_pictures_are_counted(tmp_path):
    root = write_pictures(tmp_path / "d", a=5, b=5)
    for name in ("notes.txt", "a/._0.png", ".cache/x.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    index = build(root, tmp_path)
    assert index.counts()["ignored"] == 3
    assert sum(index.counts().values()) == 13


def test_copies_are_refused_and_each_file_is_told_once(tmp_path):
    root = write_pictures(tmp_path / "d", a=20, b=20)
    damage(root / "a" / "3.png")
    reporter = Recorder()
    leaks = {"a/3.png": "b/1.png", "b/4.png": "b/5.png"}
    index = build(root, tmp_path, copies=Copies(leaks, {}), reporter=reporter)
    assert [(one.path, one.outcome) for one in index.left_out] == [("a/3.png", "skipped"), ("b/4.png", "refused")]
    assert index.left_out[1].reason == "a copy of b/5.png, which is in another split"
    assert sum(index.counts().values()) == 40
    assert reporter.warned[1:] == ["left out 1 pictures with a copy in another split (skipped.csv)"]


def test_the_same_pixels_stay_on_one_side_however_they_are_stored(tmp_path):
    root = write_pictures(tmp_path / "d", a=30, b=30)
    for path in sorted(root.rglob("*.png")):
        with Image.open(path) as opened:
            opened.save(path.with_suffix(".bmp"))
    index = build(root, tmp_path)
    sides = {}
    for image in index.images:
        assert sides.setdefault(image.path.rpartition(".")[0], image.split) == image.split
    assert {image.split for image in index.images} == {"train", "val", "test"}


def test_known_copies_stay_on_one_side(tmp_path):
    root = write_pictures(tmp_path / "d", a=30, b=30)
    groups = {f"a/{i}.png": f"copies {i // 6}" for i in range(30)}
    sides = {}
    for image in build(root, tmp_path, copies=Copies({}, groups)).of("train"):
        sides.setdefault(groups.get(image.path, image.path), []).append(image.path)
    assert {len(found) for unit, found in sides.items() if unit.startswith("copies")} == {6}


def test_what_the_check_shows_is_told(tmp_path):
    root = write_pictures(tmp_path / "d", train__a=10, train__b=2, val__a=3, val__b=3, test__a=3)
    (root / "val" / "a" / "copy.png").write_bytes((root / "train" / "a" / "0.png").read_bytes())
    (root / "train" / "b" / "copy.png").write_bytes((root / "train" / "a" / "1.png").read_bytes())
    reporter = Recorder()
    index = build(root, tmp_path, reporter=reporter)
    assert index.audit.leaks == [["train/a/0.png", "val/a/copy.png"]]
    assert index.audit.label_conflicts == [["train/a/1.png", "train/b/copy.png"]]
    assert index.audit.lacking == {"test": ["b"]}
    leak, conflict, lacking = reporter.warned
    assert "1 pictures are in more than one split (train/a/0.png = val/a/copy.png)" in leak
    assert "1 pictures have more than one label (train/a/1.png = train/b/copy.png)" in conflict
    assert lacking == "test has no picture of 'b'"
    (root / "train" / "b" / "copy.png").unlink()
    reporter = Recorder()
    build(root, tmp_path, reporter=reporter)
    assert any("'a' has 10 training pictures, 'b' 2" in text for text in reporter.warned)


def test_class_names_that_do_harm_are_refused(tmp_path):
    write_pictures(tmp_path / "d", a=3, b=3)
    table = tmp_path / "t.csv"
    table.write_text('path,label\nd/a/0.png,x\nd/b/0.png,"y\nz"\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"class name 'y\\nz' holds a control character \(U\+000A\); rename the folder"):
        build(table, tmp_path)


def test_classes_come_from_training_alone(tmp_path):
    root = write_pictures(tmp_path / "d", train__b=3, train__a=3, train__c=3, val__b=2)
    index = build(root, tmp_path)
    assert index.classes == ("a", "b", "c")
    assert [index.classes[image.label] for image in index.of("val")] == ["b", "b"]
    assert index.of("test") == []


def test_a_class_that_only_validation_has_is_refused(tmp_path):
    root = write_pictures(tmp_path / "d", train__a=3, train__b=3, val__a=2, val__zebra=2)
    with pytest.raises(DataError, match="class zebra has no training picture; there are a, b"):
        build(root, tmp_path)


def test_one_class_is_refused(tmp_path):
    root = write_pictures(tmp_path / "d", a=3, b=3)
    table = tmp_path / "t.csv"
    table.write_text("path,label\nd/a/0.png,x\nd/b/0.png,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="one class"):
        build(table, tmp_path)
    assert build(root, tmp_path).classes == ("a", "b")


def test_an_empty_validation_split_is_refused(tmp_path):
    root = write_pictures(tmp_path / "d", a=2, b=2)
    with pytest.raises(DataError, match=r"the val split is empty \(4 pictures in all\)"):
        build(root, tmp_path, val=0.1, test=0)


def test_the_number_of_workers_changes_nothing(tmp_path):
    count = EXAMINED_AT_ONCE + 1
    root = write_pictures(tmp_path / "d", a=count, b=count)
    damage(root / "a" / "3.png")
    known = [{}, {}]
    alone, helped = (build(root, tmp_path, workers=w, known_good=k) for w, k in zip((0, 2), known, strict=True))
    assert (alone.images, alone.left_out) == (helped.images, helped.left_out)
    assert known[0] == known[1]


def test_what_proved_good_is_not_decoded_again(tmp_path, monkeypatch):
    root = write_pictures(tmp_path / "d", a=5, b=5)
    known = {}
    first = build(root, tmp_path, known_good=known)
    assert known.keys() == {bytes.fromhex(image.digest) for image in first.images}

    def refuse(*_, **__):
        raise AssertionError("decoded again")

    monkeypatch.setattr("frostline.data.loader.decode", refuse)
    assert build(root, tmp_path, known_good=known).images == first.images
    with pytest.raises(AssertionError, match="decoded again"):
        build(root, tmp_path, known_good={})


def test_damaged_pictures_do_not_count_as_known(tmp_path):
    root = write_pictures(tmp_path / "d", a=20, b=20)
    damage(root / "a" / "3.png")
    known = {}
    build(root, tmp_path, known_good=known)
    assert len(known) == 39
