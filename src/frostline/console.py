"""Show a run in a terminal: lines on stdout, warnings and progress bars on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from frostline.columns import printable
from frostline.progress import Left

BAR_AFTER, BAR_EVERY = 0.5, 0.1
"""Seconds until a bar appears, and between its updates."""


class _TimeLeft(ProgressColumn):
    """The time left of what the bar is a part of."""

    def __init__(self, left: Left) -> None:
        super().__init__()
        self._left = left

    def render(self, task: Task) -> Text:
        """Show it as hours, minutes and seconds."""
        seconds = self._left(task.completed / max(1, task.total or 1))
        return Text(f"{timedelta(seconds=round(seconds))} left", style="progress.remaining")


class Terminal:
    """A reporter for people; a line stays one, whatever the names of files hold."""

    def __init__(self) -> None:
        self._errors = Console(stderr=True)

    def say(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(f"{printable(text)}\n")
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        """Print a line that the user should act on."""
        sys.stderr.write(f"warning: {printable(text)}\n")
        sys.stderr.flush()

    @contextmanager
    def bar(self, total: int, what: str, left: Left | None = None) -> Iterator[Callable[[int], None]]:
        """Show a bar with the time left, where stderr is a terminal and the work takes more than a moment.

        It is drawn a few times a second at most, however often it is advanced: a training step is not held up.
        """
        if not self._errors.is_terminal:
            yield lambda _: None
            return
        remaining = _TimeLeft(left) if left else TimeRemainingColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), remaining)
        progress = Progress(*columns, console=self._errors, transient=True)
        task = progress.add_task(what, total=total)
        waiting, due = 0, time.monotonic() + BAR_AFTER

        def advance(count: int) -> None:
            nonlocal waiting, due
            waiting += count
            if time.monotonic() >= due:
                progress.advance(task, waiting)
                progress.start()  # does nothing where it runs already
                waiting, due = 0, time.monotonic() + BAR_EVERY

        try:
            yield advance
        finally:
            if progress.live.is_started:
                progress.stop()
