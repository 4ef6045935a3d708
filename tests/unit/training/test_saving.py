import pytest

from frostline.stopwatch import Stopwatch
from frostline.training import saving
from frostline.training.saving import Saver


@pytest.mark.parametrize(("took", "wait"), [(0.0, 10.0), (0.05, 10.0), (3.0, 300.0)])
def test_saving_takes_a_hundredth_of_the_time_at_most(monkeypatch, took, wait):
    clock = [100.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: clock[0])
    saved = []

    def save(state):
        clock[0] += took
        saved.append(state)

    saver = Saver(save, Stopwatch())
    assert not saver.is_due()
    clock[0] += saving.SAVE_SECONDS
    assert saver.is_due()
    saver.save(lambda: "state")
    assert saved == ["state"]
    clock[0] += wait - 0.01
    assert not saver.is_due()
    clock[0] += 0.02
    assert saver.is_due()
