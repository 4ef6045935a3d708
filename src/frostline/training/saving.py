"""When a training's state is saved: now and then, for a hundredth of its time at most."""

import time
from collections.abc import Callable

from frostline.stopwatch import Stopwatch
from frostline.training.state import State

SAVE_SECONDS = 10.0
"""Between two saves, at least."""
SHARE = 0.01
"""Of a training's time, at most, goes into saving."""

Save = Callable[[State], None]


class Saver:
    """Saves states; a save that took long puts the next one off.

    Args:
        save: writes a state.
        watch: notes what it takes.
    """

    def __init__(self, save: Save, watch: Stopwatch) -> None:
        self._save, self._watch = save, watch
        self._due = time.monotonic() + SAVE_SECONDS

    def is_due(self) -> bool:
        """Tell whether it is time to save again."""
        return time.monotonic() >= self._due

    def save(self, make: Callable[[], State]) -> None:
        """Save the state that `make` gives."""
        start = time.monotonic()
        with self._watch.span("saving"):
            self._save(make())
        took = time.monotonic() - start
        self._due = time.monotonic() + max(SAVE_SECONDS, took / SHARE)
