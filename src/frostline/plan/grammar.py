"""The stage grammar: `first part that trains : epochs [@ learning rate] [/ pixels]`, stages separated by commas."""

import math
import re
from dataclasses import dataclass

from frostline.errors import PlanError

_STAGE = re.compile(
    r"(?P<part>[\w.]+)\s*:\s*(?P<epochs>\d{1,9})(\s*@\s*(?P<lr>(\d+\.?\d*|\.\d+)(e[+-]?\d+)?))?"
    r"(\s*/\s*(?P<size>\d{1,9}))?",
    re.IGNORECASE,
)

SIZES = range(8, 2049)
"""Sides, in pixels, that a stage's pictures can have."""


@dataclass(frozen=True, slots=True)
class StageText:
    """One stage as written."""

    part: str
    """First part that trains: `head`, `all`, or a module's name."""
    epochs: int
    lr: float | None = None
    """Learning rate per update; None takes the run's."""
    size: int | None = None
    """Side of the training pictures in pixels; None takes the network's."""

    def __str__(self) -> str:
        """Write it so that `parse_stages` gives the same back, to the last digit of the rate."""
        rate = "" if self.lr is None else f"@{self.lr!r}".removesuffix(".0")
        size = "" if self.size is None else f"/{self.size}"
        return f"{self.part}:{self.epochs}{rate}{size}"


def parse_stages(text: str) -> tuple[StageText, ...]:
    """Read a plan.

    >>> [str(stage) for stage in parse_stages("head:5, layer4:3@1e-4")]
    ['head:5', 'layer4:3@0.0001']

    Raises:
        PlanError: names the stage that is not understood.
    """
    stages = tuple(_parse_stage(piece.strip()) for piece in text.split(",") if piece.strip())
    if not stages:
        raise PlanError('the plan is empty; write for example --stages "head:5, all:10@1e-4"')
    return stages


def _parse_stage(text: str) -> StageText:
    match = _STAGE.fullmatch(text)
    if match is None:
        raise PlanError(
            f"stage {text!r} is not understood; write PART:EPOCHS, PART:EPOCHS@RATE or PART:EPOCHS@RATE/PIXELS, such "
            "as layer4:5@1e-4"
        )
    epochs = int(match["epochs"])
    lr = float(match["lr"]) if match["lr"] else None
    if epochs < 1 or lr == 0 or lr == math.inf:
        raise PlanError(f"stage {text!r} trains nothing; epochs are at least 1 and the rate is a number above 0")
    size = int(match["size"]) if match["size"] else None
    if size is not None and size not in SIZES:
        raise PlanError(f"stage {text!r}: {size} pixels are no size; allowed are {SIZES[0]} to {SIZES[-1]}")
    return StageText(match["part"], epochs, lr, size)
