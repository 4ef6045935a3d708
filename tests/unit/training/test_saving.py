import pytest

from frostline.stopwatch import Stopwatch
from frostline.training import saving
from frostline.training.saving import RATE, SAVE_SECONDS, SHARE, Saver


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    return now


def saver_of(clock, took, *, size=0):
    """Saves that take so many seconds each."""

    def save(_):
        clock[0] += took

    return Saver(save, Stopwatch(), size)


def test_what_is_made_is_saved_once(clock):
    saved, watch = [], Stopwatch()
    Saver(saved.append, watch, 0).save(lambda: "state")
    assert saved == ["state"]
    assert set(watch.seconds) == {"saving"}


@pytest.mark.parametrize(("took", "wait"), [(0.0, 10.0), (0.05, 10.0), (3.0, 597.0)])
def test_the_next_save_waits_until_the_time_so_far_pays_for_two(clock, took, wait):
    """Two saves of 3 s are a hundredth of 600 s."""
    saver = saver_of(clock, took)
    saver.save(lambda: "state")
    clock[0] += wait - 0.01
    assert not saver.is_due
    clock[0] += 0.02
    assert saver.is_due


def test_the_first_save_is_reckoned_from_its_size(clock):
    saver = saver_of(clock, 0.0, size=int(RATE))
    clock[0] += 99.9
    assert not saver.is_affordable
    clock[0] += 0.2
    assert saver.is_due


@pytest.mark.parametrize("took", [0.01, 0.4, 2.0])
@pytest.mark.parametrize("stage", [3.0, 40.0])
def test_saving_takes_a_hundredth_of_the_time_at_most(clock, took, stage):
    """An hour of steps of 0.1 s; a stage's end comes every few seconds and is saved where that can be paid."""
    saver, saves, began = saver_of(clock, took, size=int(took * RATE)), 0, clock[0]
    for step in range(36_000):
        clock[0] += 0.1
        is_end = step % int(10 * stage) == 0
        if saver.is_due or (is_end and saver.is_affordable):
            saver.save(lambda: "state")
            saves += 1
        assert saves * took <= SHARE * (clock[0] - began)
    assert saves >= 0.9 * min(3600 / SAVE_SECONDS, 36 / took)
