"""Learning-rate schedules as functions of the step within a stage; a resumed run needs no state for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from frostline.errors import PlanError

_ALLOWED = (
    "constant, step:N[:F] (times F every N epochs), exponential[:N[:F]], cosine[:WARMUP_EPOCHS], "
    "linear[:WARMUP_EPOCHS], onecycle[:SHARE], plateau[:F[:PATIENCE]]"
)
_DEFAULTS: dict[str, tuple[float, ...]] = {
    "constant": (),
    "step": (7, 0.1),
    "exponential": (1, 0.9),
    "cosine": (0,),
    "linear": (0,),
    "onecycle": (0.3,),
    "plateau": (0.5, 2),
}
_COUNTS = {"step": 0, "exponential": 0, "plateau": 1}
"""Which of a schedule's values is a number of whole epochs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule; `factor` gives what to multiply the stage's learning rate by."""

    kind: str
    values: tuple[float, ...]

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int, val_losses: Sequence[float] = ()) -> float:
        """Give the factor for one update.

        Args:
            step: updates made so far in this stage.
            steps_per_epoch: updates in an epoch.
            epochs: epochs of the stage.
            val_losses: validation loss of each finished epoch of the stage (plateau reads it).
        """
        epoch, total = step // steps_per_epoch, steps_per_epoch * epochs
        match self.kind:
            case "step" | "exponential":
                every, factor = self.values
                return factor ** (epoch // int(every))
            case "cosine":
                return _cosine(step, warmup=_warmup(self.values[0], steps_per_epoch, total), total=total)
            case "linear":
                return _linear(step, warmup=_warmup(self.values[0], steps_per_epoch, total), total=total)
            case "onecycle":
                return _onecycle(step, rise=self.values[0], total=total)
            case "plateau":
                factor, patience = self.values
                return factor ** count_plateaus(val_losses, int(patience))
        return 1.0


def parse_schedule(text: str) -> Schedule:
    """Read a schedule such as `step:7:0.1`.

    Raises:
        PlanError: unknown name or wrong values.
    """
    kind, *given = text.strip().lower().split(":")
    defaults = _DEFAULTS.get(kind)
    try:
        values = tuple(float(value) for value in given)
    except ValueError:
        values, defaults = (), None
    if defaults is None or len(values) > len(defaults):
        raise PlanError(f"schedule {text!r} is not understood; allowed are {_ALLOWED}")
    schedule = Schedule(kind, (*values, *defaults[len(values) :]))
    _check(schedule, text)
    return schedule


def _check(schedule: Schedule, text: str) -> None:
    ranges = {
        "step": ((1, math.inf), (0, 1)),
        "exponential": ((1, math.inf), (0, 1)),
        "cosine": ((0, math.inf),),
        "linear": ((0, math.inf),),
        "onecycle": ((0.01, 0.99),),
        "plateau": ((0.01, 0.99), (0, math.inf)),
    }.get(schedule.kind, ())
    for value, (low, high) in zip(schedule.values, ranges, strict=True):
        if not (low <= value <= high and math.isfinite(value)):
            raise PlanError(
                f"schedule {text!r}: {value:g} must lie between {low:g} and {high:g}; allowed are {_ALLOWED}"
            )
    if schedule.kind in _COUNTS and (count := schedule.values[_COUNTS[schedule.kind]]) % 1:
        raise PlanError(f"schedule {text!r}: {count:g} must be a whole number of epochs; allowed are {_ALLOWED}")


def _warmup(epochs: float, steps_per_epoch: int, total: int) -> int:
    """Steps of the rise; at most half of the stage, so that a short one comes down again."""
    return min(round(epochs * steps_per_epoch), total // 2)


def _cosine(step: int, *, warmup: int, total: int) -> float:
    """Linear rise, then half a cosine to zero (SGDR without restarts, arXiv 1608.03983)."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _linear(step: int, *, warmup: int, total: int) -> float:
    """Linear rise, then straight down to zero at the end."""
    if step < warmup:
        return (step + 1) / warmup
    return (total - step) / max(1, total - warmup)


def _onecycle(step: int, *, rise: float, total: int) -> float:
    """One-cycle policy (arXiv 1708.07120): 1/25 up to 1 over `rise` of the steps, then to 1/250,000, by cosines."""
    low, end = 1 / 25, 1 / 25e4
    top, last = rise * total - 1, total - 1
    if top > 0 and step <= top:
        return _blend(low, 1.0, step / top)
    fall = last - max(top, 0)
    return _blend(1.0, end, (step - max(top, 0)) / fall if fall else 0.0)


def _blend(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def count_plateaus(losses: Sequence[float], patience: int, threshold: float = 1e-4) -> int:
    """Count how often the loss went more than `patience` epochs without improving by the relative threshold."""
    best, waited, plateaus = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - threshold):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus
