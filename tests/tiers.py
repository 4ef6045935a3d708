"""How much of a fault test runs: a part in every test run, all of it with FROSTLINE_FAULTS=full in the environment."""

import os
from typing import TypeVar

T = TypeVar("T")


def tier(quick: T, full: T) -> T:
    """Choose between a number for every day and one for the full run."""
    return full if os.environ.get("FROSTLINE_FAULTS") == "full" else quick
