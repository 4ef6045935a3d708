import json
import shutil

import numpy as np
import pytest
from PIL import Image

import frostline
from frostline.errors import DataError


@pytest.fixture
def faulty(make_shapes, tmp_path):
    """train/ and val/ of two classes, with one fault of each kind."""
    root = tmp_path / "data"
    for split, seed in (("train", 0), ("val", 1)):
        for shape in ("circle", "square"):
            make_shapes(root / split / shape, shape, 6, seed=seed, side=96)
    one, *_ = sorted((root / "train" / "circle").iterdir())
    shutil.copy(one, root / "val" / "circle" / "copy.png")  # a leak, byte for byte
    shutil.copy(one, root / "train" / "square" / "other-label.png")
    with Image.open(sorted((root / "train" / "square").iterdir())[1]) as opened:
        opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "val" / "square" / "mirrored.jpg", quality=85)
        opened.save(root / "train" / "square" / "wrong.jpg", format="PNG")
    (root / "train" / "circle" / "broken.png").write_bytes(one.read_bytes()[:200])
    Image.new("RGB", (80, 80), "grey").save(root / "train" / "circle" / "blank.png")
    (root / "train" / "circle" / "notes.txt").write_text("not a picture")
    return root


def test_every_fault_is_found(faulty):
    found = frostline.inspect(faulty)
    assert [one["path"] for one in found.damaged] == ["train/circle/broken.png"]
    assert found.wrong_suffixes == [{"path": "train/square/wrong.jpg", "format": "PNG"}]
    assert found.ignored == ["train/circle/notes.txt"]
    groups = sorted(sorted(group) for group in found.exact_duplicates)
    assert ["train/circle/circle-0-0.png", "train/square/other-label.png", "val/circle/copy.png"] in groups
    leaks = {frozenset((leak["a"], leak["b"])): leak["kind"] for leak in found.leaks}
    assert leaks[frozenset(("train/circle/circle-0-0.png", "val/circle/copy.png"))] == "exact"
    assert leaks[frozenset(("train/square/square-0-0.png", "val/square/mirrored.jpg"))] == "near"
    assert ("train/square/other-label.png") in {path for one in found.label_conflicts for path in (one["a"], one["b"])}
    assert [one["path"] for one in found.outliers] == ["train/circle/blank.png"]
    assert found.counts["usable"] == found.counts["pictures"] - 1
    assert json.loads(json.dumps(found.to_json()))["counts"] == found.counts


def test_leaks_are_told_before_a_training_and_left_out_when_asked(faulty, tmp_path):
    class Reporter:
        def __init__(self):
            self.warned = []

        def say(self, text):
            pass

        def warn(self, text):
            self.warned.append(text)

        bar = frostline.api.Silent.bar

    settings = {"model": "resnet18", "weights": "none", "width": 0.125, "image_size": 32, "stages": "all:1"}
    settings |= {"max_damaged": 0.5}
    told = Reporter()
    frostline.train(faulty, **settings, out=tmp_path / "run", reporter=told)
    assert any("in more than one split" in text and "--drop-leaks" in text for text in told.warned)
    dropped = frostline.train(faulty, **settings, drop_leaks=True, out=tmp_path / "dropped")
    skipped = (dropped.path / "skipped.csv").read_text(encoding="utf-8")
    assert 'train/circle/circle-0-0.png,refused,"a copy of val/circle/copy.png, which is in another split"' in skipped
    assert "train/square/square-0-0.png,refused," in skipped
    assert "\nval/" not in skipped


def test_stand_ins_are_told(make_shapes, tmp_path):
    root = tmp_path / "data"
    for shape in ("circle", "square"):
        make_shapes(root / shape, shape, 6, side=64)
        for number in range(3):
            Image.fromarray(np.indices((64, 64)).sum(axis=0).astype(np.uint8) * 2).save(
                root / shape / f"none-{number}.png"
            )
    found = frostline.inspect(root)
    assert len(found.outliers) == 6
    assert found.outliers[0]["reason"] == "placeholder: 6 copies of it under 2 labels"


def test_what_is_not_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="no folder, file or named set"):
        frostline.inspect(tmp_path / "nothing")
