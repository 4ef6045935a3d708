import json
import math
from dataclasses import replace

import pytest

import frostline
from frostline import pipeline, repeats
from frostline.data.audit import audit
from frostline.data.index import Image, Index
from frostline.errors import ConfigError
from frostline.repeats import folded, repeat
from frostline.sealed import read_sealed


def index_of(count=60, classes=3, copies=()):
    """Pictures of classes in turn; every fifth is for testing. `copies` have the content of the one before them."""
    splits = ["test" if i % 5 == 4 else "val" if i % 5 == 3 else "train" for i in range(count)]
    digests = [f"{i - 1 if i in copies else i:04x}" for i in range(count)]
    images = tuple(Image(i, f"{i}.png", digests[i], i % classes, splits[i], None, digests[i]) for i in range(count))
    return Index(None, ("a", "b", "c")[:classes], images, (), audit([]))


def test_every_picture_is_once_for_validation_and_the_test_split_stays():
    index = index_of()
    folds = folded(index, 4, seed=0)
    held = [image.path for fold in folds for image in fold.of("val")]
    assert sorted(held) == sorted(image.path for image in index.images if image.split != "test")
    for fold in folds:
        assert fold.of("test") == index.of("test")
        assert [sum(image.label == k for image in fold.of("val")) for k in range(3)] == [4, 4, 4]


def test_copies_stay_together():
    """Labels go in turn, so a copy of the picture before has another label; it may not be on the other side anyway."""
    index = index_of(copies=(1, 6, 11))
    for fold in folded(index, 3, seed=1):
        split_of = {image.path: image.split for image in fold.images}
        assert all(split_of[f"{i}.png"] == split_of[f"{i - 1}.png"] for i in (1, 6, 11))


def test_another_seed_deals_otherwise():
    folds = [tuple(image.path for image in folded(index_of(), 4, seed=seed)[0].of("val")) for seed in (0, 0, 1)]
    assert folds[0] == folds[1] != folds[2]


def test_a_class_with_too_few_pictures_is_named():
    with pytest.raises(
        ConfigError, match=r"--folds 20 needs as many pictures \(or groups\) of every class; a has 16; lower it"
    ):
        folded(index_of(), 20, seed=0)


SMALL = {"model": "resnet18", "weights": "none", "width": 0.125, "image_size": 32, "stages": "layer4:1, head:1"}


def test_trainings_beside_a_run_change_nothing_of_it(tiny_folder, tmp_path):
    plain = frostline.train(tiny_folder, **SMALL, out=tmp_path / "plain")
    again = frostline.train(tiny_folder, **SMALL, folds=2, seeds=2, out=tmp_path / "again")
    for name in ("best", "last"):
        weights = [read_sealed(getattr(run.folder, name), kind="model", newest=99)[1] for run in (plain, again)]
        assert all(weights[0][key].equal(weights[1][key]) for key in weights[0])
    assert plain.metrics["folds"] is None
    assert plain.metrics["test"]["confusion"] == again.metrics["test"]["confusion"]
    told = again.metrics["folds"]
    assert (told["folds"], told["seeds"], len(told["accuracies"])) == (2, 2, 4)
    assert told["epoch"] == again.metrics["best"]["epoch"]
    assert told["low"] <= told["mean"] <= told["high"]
    assert math.isfinite(told["std"])


@pytest.mark.parametrize("epoch", [1, 2])
def test_trainings_end_with_the_epoch_that_counts(tiny_folder, tmp_path, monkeypatch, epoch):
    """What comes after it would be thrown away; up to it, they are what the whole plan gives."""
    losses = {"short": [], "whole": []}
    train = repeats.run_plan

    def trained_twice(task, **how):
        module = task.network.module
        start = {name: value.clone() for name, value in module.state_dict().items()}
        whole = train(replace(task, last_epoch=math.inf), **how)
        module.load_state_dict(start)
        short = train(task, **how)
        for name, progress in (("whole", whole), ("short", short)):
            losses[name].append([row.val_loss for row in progress.history.epochs])
        return short

    monkeypatch.setattr(repeats, "run_plan", trained_twice)
    monkeypatch.setattr(pipeline, "repeat", lambda task, start, best: repeat(task, start, replace(best, epoch=epoch)))
    run = frostline.train(tiny_folder, **SMALL, seeds=2, out=tmp_path / "run")
    assert run.metrics["folds"]["epoch"] == epoch
    assert [len(row) for row in losses["short"]] == [epoch, epoch]
    assert [len(row) for row in losses["whole"]] == [2, 2]
    assert losses["short"] == [row[:epoch] for row in losses["whole"]]


def test_too_many_folds_are_refused_before_training(tiny_folder, tmp_path):
    with pytest.raises(ConfigError, match="--folds 50 needs as many pictures"):
        frostline.train(tiny_folder, **SMALL, folds=50, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_few_groups_end_no_training(tiny_folder, tmp_path):
    """Fewer groups than folds: labels are not examined, and folds are refused before anything is trained."""
    rows = [
        f"{path},{path.parent.name},{path.parent.name} {i % 2}" for i, path in enumerate(tiny_folder.rglob("*.png"))
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label,group", *rows]), encoding="utf-8")
    run = frostline.train(table, **SMALL, test=0.0, val=0.5, out=tmp_path / "run")
    assert json.loads((run.path / "review.json").read_text("utf-8"))["examined"] == 0
    with pytest.raises(ConfigError, match=r"--folds 5 needs as many pictures \(or groups\) of every class; .* has 2"):
        frostline.train(table, **SMALL, test=0.0, val=0.5, folds=5, out=tmp_path / "folds")
