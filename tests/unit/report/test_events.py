import sys
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from frostline import api
from frostline.errors import ConfigError
from frostline.report.events import open_events
from frostline.training.history import EpochRow, History, StepRow


def add_epoch(history, number, *, stage=1, steps=3):
    for _ in range(steps):
        before = len(history.steps)
        history.steps.append(StepRow(stage, number, before + 1, 10.0 + before))
    history.add(EpochRow(stage, number, 1 / number, 0.5, 2 / number, number / 10, 0.001 * number, 60.0, 10.0, True))


def read(folder, name):
    """All (step, value) of a tag, over all event files there."""
    events = EventAccumulator(str(folder), {"scalars": 0}).Reload().Scalars(name)
    return [(event.step, pytest.approx(event.value)) for event in events]


def test_every_number_is_there_under_its_epoch_or_step(tmp_path):
    history = History()
    with open_events(tmp_path, History()) as write:
        for number in (1, 2):
            add_epoch(history, number)
            write(history)
    assert read(tmp_path, "loss/train") == [(1, 1.0), (2, 0.5)]
    assert read(tmp_path, "loss/val") == [(1, 2.0), (2, 1.0)]
    assert read(tmp_path, "accuracy/train") == [(1, 0.5), (2, 0.5)]
    assert read(tmp_path, "accuracy/val") == [(1, 0.1), (2, 0.2)]
    assert read(tmp_path, "lr") == [(1, 0.001), (2, 0.002)]
    assert read(tmp_path, "loss_per_step") == [(i + 1, 10.0 + i) for i in range(6)]


def test_an_epoch_can_be_read_while_the_run_goes_on(tmp_path):
    history = History()
    with open_events(tmp_path, History()) as write:
        for number in (1, 2):
            add_epoch(history, number)
            write(history)
            assert [step for step, _ in read(tmp_path, "loss/val")] == list(range(1, number + 1))


def test_a_resumed_run_holds_each_epoch_once(tmp_path):
    """The saved state may be older than the events: epochs 2 and 3 are lost, and trained again."""
    saved, lost = History(), History()
    with open_events(tmp_path, History()) as write:
        for number in (1, 2, 3):
            add_epoch(lost, number)
            write(lost)
    add_epoch(saved, 1)
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with open_events(tmp_path, saved) as write:
        assert read(tmp_path, "loss/val") == [(1, 2.0)], "what was saved is there at once"
        add_epoch(saved, 2)
        write(saved)
    assert read(tmp_path, "loss/val") == [(1, 2.0), (2, 1.0)]
    assert [step for step, _ in read(tmp_path, "loss_per_step")] == [1, 2, 3, 4, 5, 6]
    assert other.read_text() == "mine"


def test_saved_epochs_keep_their_distance_in_time(tmp_path):
    history = History()
    for number in (1, 2, 3):
        add_epoch(history, number)
    history.epochs[2] = replace(history.epochs[2], seconds=5.0)
    with open_events(tmp_path, history):
        pass
    times = [event.wall_time for event in EventAccumulator(str(tmp_path)).Reload().Scalars("lr")]
    assert [round(b - a) for a, b in pairwise(times)] == [60, 5]


def test_the_writer_is_closed_when_the_run_fails(tmp_path):
    history = History()
    add_epoch(history, 1)
    with suppress(KeyboardInterrupt), open_events(tmp_path, History()) as write:
        write(history)
        raise KeyboardInterrupt
    assert read(tmp_path, "loss/val") == [(1, 2.0)]


def test_without_tensorboard_it_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"pip install 'frostline\[tensorboard\]'") as refused:
        api.train("no-such-data", log="tensorboard", out=tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
