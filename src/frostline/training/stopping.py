"""Stopping between two steps: a first SIGINT or SIGTERM waits until a training has saved where it stands."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

GRACE = 8
"""Seconds after which a signal waits no longer."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While it is entered, the first signal is noted; a second one, or eight seconds, has its usual effect at once.

    Signals reach a process's main thread alone: in another one, nothing is ever noted. What the process ignores, it
    goes on ignoring.
    """

    def __init__(self) -> None:
        self._noted = 0
        self._waits = True
        self._before: dict[int, Any] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether a signal came."""
        return bool(self._noted)

    def __enter__(self) -> Self:
        """Note signals from now on."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: was for number, was in handlers.items() if was not in (signal.SIG_IGN, None)}
            for number in self._before:
                signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave signals to whom they were left before; one that still waits has its effect now."""
        self._restore()
        if self.is_wanted and kind is None:
            self.end()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let signals have their usual effect meanwhile."""
        self._waits = False
        try:
            if self.is_wanted:
                self.end()
            yield
        finally:
            self._waits = True

    def end(self) -> None:
        """Do now what the signal that came would have done at once."""
        self._restore()
        number, self._noted = self._noted, 0
        signal.raise_signal(number)

    def _note(self, number: int, _: FrameType | None) -> None:
        again = self.is_wanted
        self._noted = number
        if again or not self._waits:
            self.end()
        elif hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: self.end())
            signal.alarm(GRACE)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if hasattr(signal, "SIGALRM") and number == signal.SIGALRM:
                signal.alarm(0)
            signal.signal(number, handler)
        self._before = {}
