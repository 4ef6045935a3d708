"""Show a run in a terminal: lines on stdout, warnings and progress bars on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Terminal:
    """A reporter for people."""

    def __init__(self) -> None:
        self._errors = Console(stderr=True)

    def say(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        """Print a line that the user should act on."""
        sys.stderr.write(f"warning: {text}\n")
        sys.stderr.flush()

    @contextmanager
    def bar(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """Show a bar with the time left, where stderr is a terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._errors, transient=True, disable=not self._errors.is_terminal) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)
