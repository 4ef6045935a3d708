"""Rows are addressed by content: what was computed once is not computed again."""

import csv
import json

import pytest
from safetensors.torch import save_file

import frostline
from frostline.activations.engines import TorchEngine
from frostline.network.build import NetworkSpec, build
from frostline.training import pricing

CLASSES = ("circle", "square", "stripes")


@pytest.fixture(autouse=True)
def _pretrained():
    """Weights that do not depend on the seed of a run."""
    network = build(NetworkSpec(model="resnet18", classes=2, head="official", width=0.1), seed=5)
    save_file(network.module.state_dict(), "pretrained.safetensors")


def train(data, out, **settings):
    defaults = {
        "model": "resnet18",
        "weights": "pretrained.safetensors",
        "width": 0.1,
        "image_size": 32,
        "stages": "head:1",
        "feature_cache": "disk",
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
    }
    return frostline.train(data, out=out, **defaults | settings)


def computed(run):
    return run.metrics["activations"]["computed"]


def names_in(run, split):
    with run.folder.split.open(newline="", encoding="utf-8") as file:
        return {row["path"] for row in csv.DictReader(file) if row["split"] == split}


def test_the_first_run_computes_every_picture_once(tiny_folder):
    run = train(tiny_folder, "first", stages="head:3")
    assert computed(run) == 36
    assert run.metrics["activations"]["rows"] == 36


@pytest.fixture
def seen(monkeypatch):
    """How many pictures the frozen layers were given, but to time them; it grows."""
    counts, run, time_frozen = [], TorchEngine.run, pricing._time_frozen

    def counted(self, batches):
        for batch in batches:
            counts.append(len(batch))
            yield from run(self, [batch])

    def uncounted(*given):
        before = len(counts)
        timed = time_frozen(*given)
        del counts[before:]
        return timed

    monkeypatch.setattr(TorchEngine, "run", counted)
    monkeypatch.setattr(pricing, "_time_frozen", uncounted)
    return counts


@pytest.mark.parametrize(
    ("mode", "head", "stages"),
    [
        ("disk", "linear", "head:2"),
        ("disk", "multi", "layer4:2@1e-4"),
        *(
            pytest.param(mode, head, "layer4:2@1e-4", marks=pytest.mark.slow)
            for mode, head in (("disk", "linear"), ("disk", "mlp"), ("ram", "linear"))
        ),
        pytest.param("disk", "linear", "layer4:1@1e-4, layer3:1@1e-4", marks=pytest.mark.slow),
    ],
)
def test_frozen_layers_see_a_picture_once_for_fit_stage_and_review(tiny_folder, seen, mode, head, stages):
    """What the head is fitted on, what the stage trains on and what the review looks at share what is frozen."""
    run = train(tiny_folder, "run", stages=stages, head=head, feature_cache=mode, engine="torch")
    assert json.loads(run.folder.review.read_text())["examined"] > 0
    lines = stages.count(",") + 1  # a frost line for each stage
    tested = run.metrics["counts"]["test"]  # above the last one alone
    assert sum(seen) == lines * (36 - tested) + tested


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.5, "stages": "head:3"},
        {"seed": 9},  # another split, another order
        pytest.param({"val": 0.3, "test": 0.3}, marks=pytest.mark.slow),
        pytest.param({"batch_size": 5, "optimizer": "sgd", "schedule": "constant"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_what_does_not_touch_the_frozen_layers_costs_nothing(tiny_folder, settings):
    first = train(tiny_folder, "first")
    second = train(tiny_folder, "second", **settings)
    assert computed(first) == 36
    assert computed(second) == 0
    assert second.metrics["activations"]["rows"] == 36
    if "seed" in settings:
        assert names_in(first, "train") != names_in(second, "train")


@pytest.mark.slow
def test_other_frozen_layers_are_computed_anew(tiny_folder):
    """The counter counts: another input size and another frost line share nothing with what is there."""
    train(tiny_folder, "first")
    assert computed(train(tiny_folder, "larger", image_size=40)) == 36
    assert computed(train(tiny_folder, "deeper", stages="layer4:1@1e-4")) == 36


@pytest.mark.slow
def test_a_file_that_is_renamed_costs_nothing(tiny_folder):
    train(tiny_folder, "first")
    for path in tiny_folder.glob("circle/*.png"):
        path.rename(path.with_name(f"renamed-{path.name}"))
    assert computed(train(tiny_folder, "second")) == 0


def test_ten_more_pictures_cost_ten(tiny_folder, make_shapes):
    train(tiny_folder, "first")
    for shape, count in zip(CLASSES, (4, 3, 3), strict=True):
        make_shapes(tiny_folder / shape, shape, count, seed=1)
    second = train(tiny_folder, "second")
    assert sum(second.metrics["counts"][name] for name in ("train", "val", "test")) == 46
    assert computed(second) == 10


@pytest.fixture
def split_folder(tmp_path, make_shapes):
    """8 training, 3 validation and 2 test pictures of each class, as folders."""
    root = tmp_path / "given"
    for number, (split, count) in enumerate({"train": 8, "val": 3, "test": 2}.items()):
        for shape in CLASSES:
            make_shapes(root / split / shape, shape, count, seed=number)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "augment", "cost"),
    [
        ("train", "flip", 20),  # as it is, and mirrored
        ("train", "crops:3", 30),
        ("val", "flip", 10),  # evaluation looks at a picture as it is
        ("test", "flip", 10),
    ],
)
def test_ten_more_pictures_of_a_split(split_folder, make_shapes, split, augment, cost):
    views = {"flip": 2, "crops:3": 3}[augment]
    first = train(split_folder, "first", augment=augment)
    assert computed(first) == 24 * views + 9 + 6
    make_shapes(split_folder / split / "circle", "circle", 10, seed=7)
    second = train(split_folder, "second", augment=augment)
    assert second.metrics["counts"][split] == first.metrics["counts"][split] + 10
    assert computed(second) == cost


@pytest.mark.slow
def test_mirrored_views_are_computed_where_a_picture_becomes_a_training_picture(tiny_folder):
    """Another seed deals other pictures to training: their mirrored views are new, all else is there."""
    first = train(tiny_folder, "first", augment="flip")
    second = train(tiny_folder, "second", augment="flip", seed=1)
    new = names_in(second, "train") - names_in(first, "train")
    assert computed(first) == 36 + len(names_in(first, "train"))
    assert new
    assert computed(second) == len(new)


@pytest.mark.slow
def test_views_are_added_to_those_that_are_there(tiny_folder):
    first = train(tiny_folder, "first")
    second = train(tiny_folder, "second", augment="flip")
    assert (computed(first), computed(second)) == (36, second.metrics["counts"]["train"])
