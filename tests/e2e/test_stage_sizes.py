"""Stages whose training pictures have a size of their own."""

import numpy as np
import pytest
import torch

from frostline import api
from frostline.errors import PlanError
from frostline.training import epoch

SETTINGS = {
    "model": "resnet18",
    "weights": "none",
    "width": 0.125,
    "image_size": 32,
    "batch_size": 12,
    "precision": "fp32",
    "workers": 0,
    "augment": "flip",
    "engine": "torch",
}


def steps_of(run):
    return np.loadtxt(run.path / "steps.csv", delimiter=",", skiprows=1)[:, 3]


@pytest.fixture
def shapes(monkeypatch):
    """Shapes of the values that training steps are given."""
    seen, step = [], epoch.train_step

    def noting(suffix, values, *args, **kwargs):
        seen.append(tuple(values[0].shape[1:]))
        return step(suffix, values, *args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", noting)
    return seen


def test_training_pictures_grow_and_validation_stays(tiny_folder, tmp_path, shapes):
    stages = "all:1@1e-3/16, all:1@1e-3/24, all:1@1e-3"
    run = api.train(tiny_folder, stages=stages, out=tmp_path / "run", **SETTINGS)
    sides = list(dict.fromkeys(shapes))
    assert sides == [(3, 16, 16), (3, 24, 24), (3, 32, 32)]
    assert [stage["size"] for stage in run.metrics["plan"]] == [16, 24, None]
    assert run.metrics["preprocess"]["size"] == 32


@pytest.mark.parametrize("stages", ["layer4:2@1e-3/16, layer4:1@1e-3", "head:2@1e-3/16"])
def test_stored_activations_of_another_size_change_no_loss(tiny_folder, tmp_path, stages):
    cached = api.train(tiny_folder, stages=stages, feature_cache="disk", out=tmp_path / "a", **SETTINGS)
    direct = api.train(tiny_folder, stages=stages, feature_cache="off", out=tmp_path / "b", **SETTINGS)
    assert torch.allclose(*(torch.from_numpy(steps_of(run)) for run in (cached, direct)), rtol=1e-5)
    assert cached.metrics["val"]["accuracy"] == direct.metrics["val"]["accuracy"]
    assert cached.metrics["activations"]["rows"] > direct.metrics["activations"]["rows"]


def test_a_plan_tells_the_size(tiny_folder):
    prices = api.plan(tiny_folder, stages="all:1@1e-3/16, all:1@1e-3", **SETTINGS)
    small, whole = (price for price, _ in prices)
    assert small.stage.shown == "all/16"
    assert whole.stage.shown == "all"


def test_a_network_of_one_size_alone_is_refused(tiny_folder, tmp_path):
    settings = {**SETTINGS, "model": "timm:vit_tiny_patch16_224", "image_size": 32, "width": 1.0}
    with pytest.raises(
        PlanError, match=r"stage 1, all: timm:vit_tiny_patch16_224 cannot compute pictures of 48 pixels"
    ):
        api.train(tiny_folder, stages="all:1@1e-3/48", out=tmp_path / "run", **settings)
