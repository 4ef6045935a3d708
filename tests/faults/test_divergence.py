"""A loss that is no number ends a run at that step, and nothing of it is ever kept."""

import json
import math

import pytest
import torch
from killing import SETTINGS

from frostline import api
from frostline.data.splitfile import read_split
from frostline.errors import DivergedError
from frostline.training import epoch, loop, saving
from frostline.training.state import load_state
from made_up import make_pictures

PLAIN = {**SETTINGS, "stages": "all:3", "mixup": 0.0, "ema": 0.0}


@pytest.fixture(autouse=True)
def save_often(monkeypatch):
    monkeypatch.setattr(saving, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(saving, "SHARE", 1e9)


@pytest.fixture
def poisoned(monkeypatch):
    """Have a step's loss be no number: the fifth, of three an epoch."""
    step, made = epoch.train_step, []

    def poison(suffix, values, *args, **kwargs):
        made.append(1)
        if len(made) == 5:
            values = tuple(value * math.nan for value in values)
        return step(suffix, values, *args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", poison)
    return made


def test_a_run_that_diverges_stops_at_that_step(tmp_path, poisoned):
    data, out = make_pictures(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(DivergedError, match=r"not finite at step 5 \(stage 1, all, rate [\d.e-]+; pictures ") as caught:
        api.train(data, out=out, **PLAIN)
    assert len(poisoned) == 5, "no step was made after it"
    facts = json.loads((out / "diverged.json").read_text())
    assert facts == caught.value.facts
    training = {row["path"] for row in read_split(out / "split.csv") if row["split"] == "train"}
    assert set(facts["pictures"]) < training
    assert (facts["step"], facts["epoch"], len(facts["pictures"])) == (5, 2, 10)
    assert not (out / "weights" / "best.safetensors").exists()
    assert not (out / "weights" / "last.safetensors").exists()


def test_the_last_good_state_is_kept(tmp_path, poisoned):
    data, out = make_pictures(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(DivergedError):
        api.train(data, out=out, **PLAIN)
    state = load_state(out / "state" / "state.safetensors")
    assert (state.epoch, state.step) == (1, 1)
    assert all(torch.isfinite(value).all() for value in state.weights.values())


def test_a_validation_loss_that_is_no_number_ends_the_run(tmp_path, monkeypatch):
    measured = iter([(0.5, 0.6), (math.nan, 0.7)])
    monkeypatch.setattr(loop, "evaluate", lambda *_: next(measured))
    out = tmp_path / "run"
    with pytest.raises(DivergedError, match=r"validation loss is not finite after step 6 \(stage 1, all, rate "):
        api.train(make_pictures(tmp_path / "data"), out=out, **PLAIN)
    assert not (out / "weights" / "last.safetensors").exists()
    assert not (out / "metrics.json").exists()


ONE_STEP = {
    **{**PLAIN, "model": "resnet18", "head": "linear", "optimizer": "sgd", "augment": "none", "dropout": 0.0},
    "batch_size": 64,
}
"""An epoch is one step, so that no later step sees what it left."""


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_step_that_leaves_no_numbers_is_neither_saved_nor_the_best(tmp_path, ema):
    data, out = make_pictures(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(
        DivergedError, match=r"not finite after step 1 \(stage 1, all, rate 1e\+38; pictures "
    ) as caught:
        api.train(data, out=out, **{**ONE_STEP, "stages": "all:1", "lr": 1e38, "ema": ema})
    facts = json.loads((out / "diverged.json").read_text())
    assert facts == caught.value.facts
    assert (facts["step"], facts["epoch"], facts["last_good_state"]) == (1, 1, None)
    training = {row["path"] for row in read_split(out / "split.csv") if row["split"] == "train"}
    assert set(facts["pictures"]) == training
    assert not [*out.rglob("*.safetensors")]


def test_what_a_later_stage_spoils_leaves_the_state_of_the_one_before(tmp_path):
    data, out = make_pictures(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(DivergedError, match=r"not finite after step 3 \(stage 2, all, rate 1e\+38"):
        api.train(data, out=out, **{**ONE_STEP, "stages": "all:2, all:1@1e38"})
    facts = json.loads((out / "diverged.json").read_text())
    assert facts["last_good_state"] == "state/state.safetensors"
    state = load_state(out / "state" / "state.safetensors")
    assert (state.stage, state.epoch) == (0, 2)
    assert all(torch.isfinite(value).all() for value in [*state.weights.values(), *state.best.values()])
    assert not [*(out / "weights").glob("*")]


def test_a_state_is_not_saved_in_the_middle_of_an_epoch_either(tmp_path, monkeypatch):
    """The step's own loss, from before its update, is a number."""
    step, made = epoch.train_step, []

    def spoil(suffix, *args, **kwargs):
        result = step(suffix, *args, **kwargs)
        made.append(1)
        if len(made) == 5:
            next(iter(suffix.parameters())).data[0] = math.inf
        return result

    monkeypatch.setattr(epoch, "train_step", spoil)
    with pytest.raises(DivergedError, match="the weights are not finite after step 5 "):
        api.train(make_pictures(tmp_path / "data"), out=tmp_path / "run", **PLAIN)
    state = load_state(tmp_path / "run" / "state" / "state.safetensors")
    assert (state.epoch, state.step) == (1, 1)
    assert all(torch.isfinite(value).all() for value in state.weights.values())
