import pytest

from frostline.data.audit import audit
from frostline.data.drift import differences
from frostline.data.index import Image, Index
from frostline.data.pictures import LeftOut

BEFORE = [
    {"path": f"{label}/{number}.png", "label": label, "split": "train", "group": "", "digest": f"{label}{number}"}
    for label in "ab"
    for number in range(3)
]


def index_of(rows, skipped=()):
    images = tuple(
        Image(
            i, row["path"], row["digest"], "ab".index(row["label"]), row["split"], row["group"] or None, row["digest"]
        )
        for i, row in enumerate(rows)
    )
    return Index(
        None, ("a", "b"), images, tuple(LeftOut(path, "skipped", reason) for path, reason in skipped), audit([])
    )


def changed(place, **values):
    return [row | values if i == place else row for i, row in enumerate(BEFORE)]


NEW = {"path": "a/9.png", "label": "a", "split": "val", "group": "", "digest": "new"}


@pytest.mark.parametrize(
    ("after", "skipped", "told"),
    [
        (BEFORE, (), []),
        (BEFORE[::-1], (), []),
        (BEFORE[1:], (), ["a/0.png: removed"]),
        (BEFORE[1:], (("a/0.png", "truncated"),), ["a/0.png: cannot be used any more (truncated)"]),
        ([*BEFORE, NEW], (), ["a/9.png: added"]),
        (changed(0, digest="x"), (), ["a/0.png: edited"]),
        (changed(0, path="b/7.png"), (), ["a/0.png: moved to b/7.png"]),
        (changed(0, label="b"), (), ["a/0.png: label 'a' is now 'b'"]),
        (changed(0, split="val", group="g"), (), ["a/0.png: split 'train' is now 'val', group '' is now 'g'"]),
        ([*BEFORE[1:], NEW], (), ["a/0.png: removed", "a/9.png: added"]),
    ],
)
def test_each_difference_is_told_once(after, skipped, told):
    assert [str(one) for one in differences(BEFORE, index_of(after, skipped))] == told
