"""What happened: a row per epoch, the loss of every step, and which epoch was best."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch; losses are means over pictures, accuracies fractions, stages and epochs count from 1."""

    stage: int
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    """At the epoch's last step."""
    seconds: float
    images_per_second: float
    cached: bool


@dataclass(frozen=True, slots=True)
class StepRow:
    """The loss of one update (mean over its batch)."""

    stage: int
    epoch: int
    step: int
    loss: float


@dataclass(slots=True)
class History:
    """All epochs and steps so far."""

    epochs: list[EpochRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    best: int | None = None
    """Place in `epochs` of the best by validation accuracy: the earliest on ties, never one whose loss is no number."""

    @property
    def done(self) -> int:
        """Epochs so far, an epoch 0 left out."""
        return sum(row.epoch > 0 for row in self.epochs)

    def add(self, row: EpochRow) -> bool:
        """Append an epoch; tell whether it is the best so far."""
        self.epochs.append(row)
        best = -math.inf if self.best is None else self.epochs[self.best].val_accuracy
        better = math.isfinite(row.val_loss) and row.val_accuracy > best  # False for NaN
        if better:
            self.best = len(self.epochs) - 1
        return better

    def of_stage(self, stage: int) -> list[EpochRow]:
        """Epochs of one stage (counted from 1), an epoch 0 left out."""
        return [row for row in self.epochs if row.stage == stage and row.epoch > 0]

    def val_losses(self, stage: int) -> list[float]:
        """Validation losses of a stage's epochs (stages count from 1)."""
        return [row.val_loss for row in self.of_stage(stage)]

    def waited(self, stage: int) -> int:
        """Epochs of this stage since its best one."""
        accuracies = [row.val_accuracy for row in self.of_stage(stage)]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0

    def to_json(self) -> dict[str, object]:
        """Give plain values."""
        return {
            "epochs": [asdict(r) for r in self.epochs],
            "steps": [astuple(r) for r in self.steps],
            "best": self.best,
        }

    @classmethod
    def from_json(cls, values: dict[str, list[dict[str, float]]]) -> "History":
        """Undo `to_json`."""
        epochs = [EpochRow(**row) for row in values["epochs"]]  # type: ignore[arg-type]  # JSON keeps int, float, bool
        return cls(epochs, [StepRow(*row) for row in values["steps"]], values["best"])  # type: ignore[arg-type]


def to_csv(rows: Sequence[EpochRow] | Sequence[StepRow], kind: type[EpochRow] | type[StepRow]) -> str:
    """Write rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in fields(kind)])
    writer.writerows([_shown(value) for value in astuple(row)] for row in rows)
    return text.getvalue()


def read_epochs(path: Path) -> list[EpochRow]:
    """Read `results.csv` back."""
    with path.open(encoding="utf-8", newline="") as file:
        return [_epoch_of(row) for row in csv.DictReader(file)]


def _epoch_of(row: dict[str, str]) -> EpochRow:
    whole = {name: int(row[name]) for name in ("stage", "epoch")}
    floats = {
        column.name: float(row[column.name]) for column in fields(EpochRow) if column.name not in {*whole, "cached"}
    }
    return EpochRow(**whole, **floats, cached=row["cached"] == "1")  # type: ignore[arg-type]  # by name


def _shown(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else int(value) if isinstance(value, bool) else value
