"""Import large libraries without looking for garbage meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leave_garbage() -> Iterator[None]:
    """Collect no garbage inside.

    The libraries make a million objects that stay. Looking through them after every few hundred new ones takes a
    quarter of the time of importing them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
