"""A loss that is no number ends a run at that step, and nothing of it is ever kept."""

import json
import math

import pytest
import torch
from killing import SETTINGS, be_short

from frostline import api
from frostline.data.splitfile import read_split
from frostline.errors import DivergedError
from frostline.training import epoch, saving
from frostline.training.state import load_state
from made_up import make_pictures

PLAIN = {**SETTINGS, "stages": "all:3", "mixup": 0.0, "ema": 0.0}


@pytest.fixture
def poisoned(monkeypatch):
    """Have a step's loss be no number: the fifth, of three an epoch."""
    step, made = epoch.train_step, []
    monkeypatch.setattr(saving, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(saving, "SHARE", 1e9)

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


def test_an_epoch_whose_validation_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    from frostline.training import loop

    measured = iter([(0.5, 0.6), (math.nan, math.nan), (0.4, 0.5)])
    be_short(monkeypatch.setattr)
    monkeypatch.setattr(loop, "evaluate", lambda *_: next(measured))
    run = api.train(make_pictures(tmp_path / "data"), out=tmp_path / "run", **PLAIN)
    assert run.metrics["best"]["epoch"] == 1
