"""Stored activations change nothing but the time: same plan, seed and order, same loss at every step."""

import csv

import pytest
import torch

import frostline
from frostline.bundle import load_model
from frostline.network.build import build
from frostline.network.splitting import split
from frostline.network.weights import load_weights
from frostline.sealed import digest_tensors

RTOL = 1e-5

RESNET = {"model": "resnet18", "width": 0.25, "stages": "head:2, layer4:2@1e-3, all:1@1e-3"}
VGG = {"width": 0.25, "init": "he", "head": "small", "stages": "head:2, block5:2@1e-3, all:1@1e-3"}
LITE0 = {"model": "efficientnet_lite0", "stages": "head:2, blocks.5:2@1e-3, all:1@1e-3"}
DENSENET = {"model": "densenet121", "stages": "head:2, features.denseblock4:1@1e-3, all:1@1e-3"}
VIT = {
    "model": "vit_b_16",
    "stages": "head:2, encoder.layers.encoder_layer_11:1@1e-4, encoder.layers.encoder_layer_10:1@1e-4",
}

CASES = {
    "resnet18, flip": RESNET | {"augment": "flip"},
    "resnet18, crops, kept statistics": RESNET | {"augment": "crops:3", "batch_norm": "keep"},
    "resnet18, by OpenVINO": RESNET | {"augment": "flip", "engine": "openvino"},
    "vgg16": VGG | {"model": "vgg16"},
    "vgg11_bn": VGG | {"model": "vgg11_bn", "batch_norm": "train"},
    "vgg11_bn, mlp, flip": VGG | {"model": "vgg11_bn", "head": "mlp", "augment": "flip"},
    "efficientnet_lite0, multi, flip": LITE0 | {"head": "multi", "augment": "flip", "batch_norm": "train"},
    "resnet18, mixed, averaged": RESNET
    | {
        **{"augment": "flip", "mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1, "ema": 0.9, "clip_grad": 1.0},
        **{"layer_decay": 0.7, "test_views": "flip", "optimizer": "sgd", "nesterov": True, "batch_norm": "train"},
    },
    "densenet121": DENSENET,
    "vit_b_16": VIT,
}
FAST = {"resnet18, flip"}
BATCH = 8


def train(data, out, **settings):
    defaults = {
        "weights": "none",
        "image_size": 32,
        "batch_size": BATCH,
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        "seed": 3,
    }
    return frostline.train(data, out=out, **defaults | settings)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def losses(run):
    return [float(row["loss"]) for row in rows_of(run.folder.steps)]


def marks(case):
    return [] if case in FAST else [pytest.mark.slow]


@pytest.mark.parametrize("case", [pytest.param(case, marks=marks(case)) for case in CASES])
def test_losses_agree_step_by_step(case, tiny_folder):
    settings = CASES[case]
    runs = {mode: train(tiny_folder, mode, feature_cache=mode, **settings) for mode in ("off", "ram", "disk")}
    for mode, run in runs.items():
        by_stage = {row["stage"]: row["cached"] for row in rows_of(run.folder.results)}
        last = "0" if mode == "off" or "all:" in settings["stages"] else "1"
        assert by_stage == {"1": str(int(mode != "off")), "2": str(int(mode != "off")), "3": last}
    direct = losses(runs["off"])
    epochs = [row for row in rows_of(runs["off"].folder.results) if row["epoch"] != "0"]
    assert runs["off"].metrics["counts"]["train"] == 3 * BATCH
    assert len(direct) == 3 * len(epochs)
    assert max(direct) - min(direct) > 0.05  # something is learnt, so there is something to compare
    assert losses(runs["ram"]) == pytest.approx(direct, rel=RTOL)
    assert losses(runs["disk"]) == pytest.approx(direct, rel=RTOL)
    for measured in ("val", "test"):
        accuracies = {mode: run.metrics[measured]["accuracy"] for mode, run in runs.items()}
        assert len(set(accuracies.values())) == 1, accuracies


@pytest.mark.parametrize("augment", ["flip", pytest.param("flip+pad:2", marks=pytest.mark.slow)])
def test_the_fitted_head_is_measured_as_every_epoch_is(augment, tiny_folder):
    """Else the best epoch would be chosen from two kinds of numbers."""
    settings = {"weights": "imagenet", "head": "linear", "augment": augment, "test_views": "flip"}
    run = train(tiny_folder, "run", stages="head:1@1e-12", **settings)
    fitted, after = rows_of(run.folder.results)
    assert float(fitted["val_loss"]) == pytest.approx(float(after["val_loss"]), rel=1e-5)
    assert fitted["val_accuracy"] == after["val_accuracy"]


@pytest.mark.parametrize("mode", ["off", pytest.param("ram", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("layer4", {"model": "resnet18", "width": 0.25}),
        ("layer2.0.conv2", {"model": "resnet18", "width": 0.25}),  # in a block: the frost line is above it
    ],
)
def test_what_is_frozen_stays_as_it_is(mode, part, settings, tiny_folder):
    """Parameters and BatchNorm's running statistics, while those below the frost line follow the batches."""
    stages = f"head:1, {part}:2@1e-3"
    run = train(tiny_folder, "run", feature_cache=mode, batch_norm="train", stages=stages, **settings)
    model = load_model(run.folder.last)
    trained, classes = model.network, model.classes
    before = build(trained.spec, seed=3)
    load_weights(before, settings.get("weights", "none"), allow_missing=None, classes=classes)
    first, last = (split(traced, traced.before(part)) for traced in (before.trace(), trained.trace()))
    assert any(name.endswith("running_mean") for name in first.prefix.state_dict())
    assert digest_tensors(last.prefix.state_dict()) == digest_tensors(first.prefix.state_dict())
    kept = {name for name, value in first.suffix.state_dict().items() if value.equal(last.suffix.state_dict()[name])}
    assert all(name.endswith((".bias", "depth_head.mean", "depth_head.scale")) for name in kept)


@pytest.mark.parametrize("head", ["linear", pytest.param("mlp", marks=pytest.mark.slow)])
def test_a_prediction_does_not_depend_on_its_batch_mates(head, tiny_folder):
    run = train(tiny_folder, "run", model="resnet18", width=0.25, head=head, stages="all:1@1e-2")
    model = frostline.load(run.path, precision="fp32")
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together = model.logits(pixels)
    assert together.std(dim=0).min() > 1e-3
    alone = torch.cat([model.logits(pixels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
