"""When a training's state is saved: now and then, for a hundredth of its time at most."""

import time
from collections.abc import Callable

from frostline.stopwatch import Stopwatch
from frostline.training.state import State

SAVE_SECONDS = 10.0
"""Between two saves, at least."""
SHARE = 0.01
"""Of a training's time, at most, goes into saving."""
RATE = 200e6
"""Bytes a second that a save is reckoned with until one was timed: copied, digested, written, synced, read back."""

Save = Callable[[State], None]


class Saver:
    """Saves the states of one training, as often as a hundredth of its time pays for.

    Args:
        save: writes a state.
        watch: notes what it takes.
        size: bytes that a state has, about.
    """

    def __init__(self, save: Save, watch: Stopwatch, size: int) -> None:
        self._save, self._watch = save, watch
        self._began = self._last = time.monotonic()
        self._spent, self._cost = 0.0, size / RATE

    @property
    def is_affordable(self) -> bool:
        """Whether the training's time so far pays for one more save."""
        return self._spent + self._cost <= SHARE * (time.monotonic() - self._began)

    @property
    def is_due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() >= self._last + SAVE_SECONDS and self.is_affordable

    def save(self, make: Callable[[], State]) -> None:
        """Save the state that `make` gives."""
        start = time.monotonic()
        with self._watch.span("saving"):
            self._save(make())
        self._last = time.monotonic()
        self._cost = self._last - start
        self._spent += self._cost
