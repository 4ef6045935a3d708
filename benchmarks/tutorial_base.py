"""What the five tutorials' training loops have in common: one epoch of training, one of scoring, what is counted."""

import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader


@dataclass
class Tally:
    """Counts of one pass over a loader. When only some steps are wanted, the first one is a warm-up and not timed."""

    by_batch: bool
    """Whether the loss is the mean of the batches' means (T1, T5) or the mean over pictures."""
    warm_up: bool
    correct: int = 0
    pictures: int = 0
    batches: int = 0
    loss: float = 0.0
    timed_pictures: int = 0
    start: float = field(default_factory=time.perf_counter)

    def add(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Count one batch."""
        self.correct += int((outputs.argmax(1) == labels).sum())
        self.pictures += len(labels)
        self.batches += 1
        self.loss += float(loss) * (1 if self.by_batch else len(labels))
        if self.warm_up and self.batches == 1:
            self.start = time.perf_counter()
        else:
            self.timed_pictures += len(labels)

    def score(self) -> dict[str, float]:
        """Loss, accuracy, seconds, pictures."""
        seconds = time.perf_counter() - self.start
        return {
            "loss": self.loss / (self.batches if self.by_batch else self.pictures),
            "accuracy": self.correct / self.pictures,
            "pictures": self.pictures,
            "seconds": seconds,
            "seconds_per_picture": seconds / max(self.timed_pictures, 1),
        }


class Loop:
    """What the five have in common. A tutorial overrides what it does otherwise."""

    tutorial: ClassVar[str]
    epochs: ClassVar[int]
    data: ClassVar[Path]
    weights: ClassVar[Path | None] = None
    by_batch: ClassVar[bool] = False
    scored_each_epoch: ClassVar[bool] = True

    def __init__(self, variant: str, data: Path, weights: Path | None) -> None:
        self.variant = variant
        self.notes: list[str] = []
        self.criterion = nn.CrossEntropyLoss()
        self.best_accuracy = 0.0
        self.train_loader, self.test_loader = self.loaders(data)
        self.model, self.optimizer = self.network(weights)

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Training and test batches."""
        raise NotImplementedError

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The network and its optimizer."""
        raise NotImplementedError

    def phases(self) -> dict[str, range]:
        """Epochs that cost the same, by name."""
        return {self.variant: range(self.epochs)}

    def begin_epoch(self, epoch: int) -> None:
        """Set the rate or thaw layers."""

    def end_epoch(self, test: dict[str, float] | None) -> None:
        """Step a schedule, keep the best weights."""

    def train_epoch(self, steps: int | None = None) -> dict[str, float]:
        """One pass over the training batches, or some steps of it."""
        self.model.train()
        tally = Tally(self.by_batch, warm_up=steps is not None)
        for pictures, labels in islice(self.train_loader, with_warm_up(steps)):
            outputs = self.model(pictures)
            loss = self.criterion(outputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            tally.add(loss.detach(), outputs, labels)
        return tally.score()

    def test_epoch(self, steps: int | None = None) -> dict[str, float]:
        """Score the test part, or some batches of it."""
        self.model.eval()
        tally = Tally(self.by_batch, warm_up=steps is not None)
        with torch.no_grad():
            for pictures, labels in islice(self.test_loader, with_warm_up(steps)):
                outputs = self.model(pictures)
                tally.add(self.criterion(outputs, labels), outputs, labels)
        return tally.score()


def with_warm_up(steps: int | None) -> int | None:
    """The batches to take: one more than the steps to time."""
    return None if steps is None else steps + 1
