import io

import pytest
from rich.console import Console

from frostline import console
from frostline.console import Terminal


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on only where a test says so."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def advanced(monkeypatch):
    """What reached the bar itself."""
    counts = []
    drawn = console.Progress.advance
    monkeypatch.setattr(
        console.Progress, "advance", lambda self, task, count: (counts.append(count), drawn(self, task, count))
    )
    return counts


def terminal(*, is_terminal=True):
    shown = Terminal()
    shown._errors = Console(file=io.StringIO(), force_terminal=is_terminal, width=100)
    return shown, shown._errors.file


def test_a_bar_says_what_how_much_and_how_long(monkeypatch):
    monkeypatch.setattr(console, "BAR_AFTER", 0.0)
    shown, written = terminal()
    with shown.bar(40, "epoch 2/5") as advance:
        advance(10)
        shown._errors.file.seek(0)
    assert "epoch 2/5" in written.getvalue()
    assert "10/40" in written.getvalue()


def test_a_bar_of_a_longer_work_shows_what_is_left_of_that(monkeypatch):
    monkeypatch.setattr(console, "BAR_AFTER", 0.0)
    shown, written = terminal()
    asked = []
    with shown.bar(40, "epoch 2/5", lambda share: asked.append(share) or 3725.4) as advance:
        advance(10)
    assert "1:02:05 left" in written.getvalue()
    assert set(asked) <= {0.0, 0.25}
    assert 0.25 in asked


def test_without_a_terminal_nothing_is_written(monkeypatch, clock):
    shown, written = terminal(is_terminal=False)
    with shown.bar(40, "epoch 2/5") as advance:
        clock[0] += 100
        advance(10)
    assert written.getvalue() == ""


def test_short_work_shows_no_bar(clock):
    shown, written = terminal()
    with shown.bar(2, "quick") as advance:
        advance(1)
        clock[0] += console.BAR_AFTER / 2
        advance(1)
    assert written.getvalue() == ""


def test_many_steps_make_few_updates_and_no_count_is_lost(clock, advanced):
    shown, _ = terminal()
    with shown.bar(3000, "steps") as advance:
        clock[0] += console.BAR_AFTER
        for _ in range(3000):
            clock[0] += 0.001
            advance(1)
        clock[0] += 1
        advance(0)
    assert 25 <= len(advanced) <= 35
    assert sum(advanced) == 3000


def test_a_bar_goes_away_when_the_work_fails(monkeypatch):
    monkeypatch.setattr(console, "BAR_AFTER", 0.0)
    shown, _ = terminal()
    with pytest.raises(KeyboardInterrupt), shown.bar(4, "stopped") as advance:  # noqa: PT012
        advance(1)
        raise KeyboardInterrupt
    with shown.bar(4, "next") as advance:
        advance(1)
    assert shown._errors.file.getvalue().endswith("\x1b[2K")


def test_names_of_files_reach_a_terminal_as_text(capsys):
    shown, _ = terminal()
    name = "e\x1b[31mvil\nname\udcff.png"
    shown.say(f"using {name} 花")
    shown.warn(f"left out {name}")
    told = capsys.readouterr()
    assert told.out == "using e\\x1b[31mvil\\nname\\udcff.png 花\n"
    assert told.err == "warning: left out e\\x1b[31mvil\\nname\\udcff.png\n"
