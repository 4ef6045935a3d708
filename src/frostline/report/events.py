"""TensorBoard event files of a run, up to date after every epoch; only here is TensorBoard imported."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frostline.errors import ConfigError
from frostline.training.history import EpochRow, History

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LAYOUT = {
    "frostline": {name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in ("loss", "accuracy")},
}
"""Charts of TensorBoard's custom tab: training and validation in one."""


def check_tensorboard() -> None:
    """See that TensorBoard can be imported.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise ConfigError(
            "log='tensorboard' needs the tensorboard package; run pip install 'frostline[tensorboard]', "
            "or leave --log out"
        ) from None


@contextmanager
def open_events(folder: Path, before: History) -> Iterator[Callable[[History], None]]:
    """Give a function that writes what a history has gained.

    Event files of an interrupted run are replaced by what its saved history holds, so no epoch stands there twice.

    Args:
        folder: of the event files; made where it is missing.
        before: epochs and steps that were done already.
    """
    from torch.utils.tensorboard.writer import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = SummaryWriter(str(folder))
    try:
        writer.add_custom_scalars(LAYOUT)
        events = _Events(writer)
        events.write(before)
        yield events.write
    finally:
        writer.close()


@dataclass(slots=True)
class _Events:
    writer: "SummaryWriter"
    epochs: int = field(default=0, init=False)
    """Rows that are written already; so with steps."""
    steps: int = field(default=0, init=False)

    def write(self, history: History) -> None:
        """Write the new epochs and steps, and let a running TensorBoard see them."""
        new = history.epochs[self.epochs :]
        times = _ends(new, time.time())
        for row, at in zip(new, times, strict=True):
            values = {
                "loss/train": row.train_loss,
                "loss/val": row.val_loss,
                "accuracy/train": row.train_accuracy,
                "accuracy/val": row.val_accuracy,
                "lr": row.lr,
            }
            for name, value in values.items():
                self.writer.add_scalar(name, value, row.epoch, walltime=at)
        end_of = {row.epoch: at for row, at in zip(new, times, strict=True)}
        for step in history.steps[self.steps :]:
            at = end_of[step.epoch]
            self.writer.add_scalar("loss_per_step", step.loss, step.step, walltime=at)
        self.epochs, self.steps = len(history.epochs), len(history.steps)
        self.writer.flush()


def _ends(rows: Sequence[EpochRow], now: float) -> list[float]:
    """When each epoch ended, had the last one ended now and none waited for the next."""
    return [now - sum(later.seconds for later in rows[i + 1 :]) for i in range(len(rows))]
