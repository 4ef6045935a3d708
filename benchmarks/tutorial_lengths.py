"""A tutorial's loop beside a recipe's run of equal length: as many epochs, as many pictures trained on and scored.

A run may be shorter than the tutorial, so its seconds say nothing beside those of a whole tutorial. All timings of one
loop on one processor are taken together, and a ratio is told with the fastest of them, which favours the loop.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STAGE = re.compile(r"\d+: (?P<part>.+), (?P<epochs>\d+) epochs")


@dataclass(frozen=True, slots=True)
class Loop:
    """What the timings of a tutorial's loop give, beside one result."""

    epochs: int
    """Of the whole tutorial."""
    pictures: int
    """Training pictures of the whole tutorial."""
    whole: tuple[float, ...]
    """Seconds of the whole tutorial by each timing, lowest first."""
    as_long: float
    """Seconds for as many epochs and pictures as the run had, by the fastest timing."""
    images_per_second: float
    """In training, in the last phase, by the fastest timing."""

    def whole_seconds(self, between: str) -> str:
        """The range of the whole tutorial's seconds."""
        return between.join(f"{seconds:,.0f}" for seconds in dict.fromkeys((self.whole[0], self.whole[-1])))


def loop_of(result: dict[str, Any], results: Sequence[dict[str, Any]]) -> Loop | None:
    """The loop that a result is compared with; None where none was timed.

    Args:
        result: of one recipe.
        results: all there are, whose timings of the same loop on the same processor count too.
    """
    if not result.get("loop"):
        return None
    timings = [timing for one in results if _same(one, result) for timing in one["loop"]["runs"]]
    last = [list(timing["seconds_per_picture"].values())[-1]["train"] for timing in timings]
    return Loop(
        epochs=result["loop"]["epochs"],
        pictures=result["loop"]["runs"][0]["pictures"]["train"],
        whole=tuple(sorted(timing["seconds_whole_tutorial"] for timing in timings)),
        as_long=min(seconds_as_long(result["runs"][0], timing) for timing in timings),
        images_per_second=1 / min(last),
    )


def seconds_as_long(run: dict[str, Any], timing: dict[str, Any]) -> float:
    """Seconds of a loop that runs as many epochs as a recipe's run did, over as many pictures.

    Scored are the run's validation pictures after each epoch and its test pictures at the end. Where the loop has a
    frozen and a thawed phase, epochs that trained the head alone count as frozen ones.
    """
    counts, costs = run["counts"], list(timing["seconds_per_picture"].values())
    stages = [_STAGE.fullmatch(stage) for stage in run["plan"]]
    phases = [(costs[0 if stage["part"] == "head" else -1], int(stage["epochs"])) for stage in stages if stage]
    each = sum(n * (counts["train"] * cost["train"] + counts["val"] * cost["test"]) for cost, n in phases)
    seconds: float = each + counts["test"] * phases[-1][0]["test"]
    return seconds


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both timed the same loop, over as many pictures, on the same processor."""
    return bool(one.get("loop")) and _what(one) == _what(other)


def _what(result: dict[str, Any]) -> tuple[Any, ...]:
    loop = result["loop"]
    return loop["system"], loop["runs"][0]["pictures"], result["machine"]["cpu"], result["machine"]["cores"]
