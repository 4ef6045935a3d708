"""What a run tells while it works; who shows it (a terminal, nobody) is decided elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Left = Callable[[float], float]
"""Seconds left of a longer work, by the share of the bar that is done."""


class Reporter(Protocol):
    """Takes what a run has to say."""

    def say(self, text: str) -> None:
        """Show a line of normal progress."""

    def warn(self, text: str) -> None:
        """Show a line that the user should act on."""

    def bar(self, total: int, what: str, left: Left | None = None) -> AbstractContextManager[Callable[[int], None]]:
        """Show a bar over `total` units; the function given advances it.

        Args:
            total: units.
            what: they are.
            left: tells the seconds that are left; without it, they follow from the bar's own speed.
        """


class Silent:
    """A reporter that shows nothing: the default from Python."""

    def say(self, text: str) -> None:
        """Drop the line."""

    def warn(self, text: str) -> None:
        """Drop the line."""

    @contextmanager
    def bar(self, total: int, what: str, left: Left | None = None) -> Iterator[Callable[[int], None]]:
        """Give a function that does nothing."""
        yield lambda _: None
