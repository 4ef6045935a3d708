"""The same plan trained again, on other folds and with other seeds: how much of a number is luck."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from frostline.data.index import Image, Index
from frostline.errors import ConfigError
from frostline.evaluation.folds import dealt_into_folds
from frostline.network.init import initialise
from frostline.progress import Silent
from frostline.randomness import seed_of
from frostline.sealed import Tensors
from frostline.stopwatch import Stopwatch
from frostline.training.history import EpochRow
from frostline.training.loop import run_plan, snapshot
from frostline.training.task import Task


@dataclass(frozen=True, slots=True)
class Repeats:
    """Trainings beside a run's own; the test split takes no part in them."""

    folds: int
    """Parts of training and validation pictures together, each once for validation; 1: the run's own two parts."""
    seeds: int
    epoch: int
    """At which accuracies are taken, and trainings end: the run's best, so that none is chosen by what it is measured
    on."""
    accuracies: tuple[float, ...]
    """On validation."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values: the mean, the standard deviation between trainings, the lowest and highest, and all."""
        values = self.accuracies
        return {
            "folds": self.folds,
            "seeds": self.seeds,
            "epoch": self.epoch,
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values),
            "low": min(values),
            "high": max(values),
            "accuracies": list(values),
        }


def repeat(task: Task, start: Tensors, best: EpochRow) -> Repeats:
    """Train the plan on each fold with each seed, from where the run started; the network ends as it was.

    A seed is that of the order of pictures, their views, mixing, dropout, the head's first values and the folds.

    Args:
        task: the run's; its settings say how many folds and seeds.
        start: what the plan trains, as it was before training.
        best: the run's best epoch.

    Raises:
        ConfigError: a class has too few pictures for so many folds.
    """
    folds, seeds = task.config.folds or 1, task.config.seeds or 1
    ended = snapshot(task, tuple(start))
    accuracies = []
    with task.reporter.bar(folds * seeds, "training again") as advance:
        for again in _trainings(replace(task, last_epoch=best.epoch), folds, seeds):
            again.network.module.load_state_dict(start, strict=False)
            _renew_head(again)
            history = run_plan(again, resumed=None, save=lambda _: None).history
            accuracies += [row.val_accuracy for row in history.epochs if row.epoch == best.epoch]
            advance(1)
    task.network.module.load_state_dict(ended, strict=False)
    return Repeats(folds, seeds, best.epoch, tuple(accuracies))


def _trainings(task: Task, folds: int, seeds: int) -> Iterator[Task]:
    for number in range(seeds):
        seed = task.config.seed + number
        config = task.config.model_copy(update={"seed": seed, "patience": None})
        quiet = replace(
            task, config=config, reporter=Silent(), watch=Stopwatch(), log=lambda *_: None, deadline=math.inf
        )
        for index in folded(task.index, folds, seed=seed) if folds > 1 else [task.index]:
            yield replace(quiet, index=index)


def _renew_head(task: Task) -> None:
    """Draw the head's first values anew, where it is not fitted anyway."""
    head = task.network.module.get_submodule(task.network.head)
    initialise(head, task.config.init, seed=seed_of(task.config.seed, "repeat"))


def folded(index: Index, folds: int, *, seed: int) -> list[Index]:
    """Deal training and validation pictures into folds, as even by class as can be; each is once the validation part.

    Pictures of one group, or of the same content, stay together; test pictures stay what they are.

    Raises:
        ConfigError: a class has too few pictures.
    """
    check_folds(index, folds)
    free = _not_for_testing(index)
    dealt = dealt_into_folds([image.label for image in free], [image.unit for image in free], folds, seed=seed)
    return [_with_validation(index, {free[i].position for i in held}) for held in dealt]


def check_folds(index: Index, folds: int) -> None:
    """Refuse more folds than the smallest class has pictures, or groups of them, that can be told apart.

    Raises:
        ConfigError: a class has too few.
    """
    units = {(image.label, image.unit) for image in _not_for_testing(index)}
    counts = np.bincount([label for label, _ in units], minlength=len(index.classes))
    fewest = int(counts.argmin())
    if counts[fewest] < folds:
        raise ConfigError(
            f"--folds {folds} needs as many pictures (or groups) of every class; {index.classes[fewest]} has "
            f"{counts[fewest]}; lower it"
        )


def _not_for_testing(index: Index) -> list[Image]:
    return [image for image in index.images if image.split != "test"]


def _with_validation(index: Index, held: set[int]) -> Index:
    """The same pictures with others for validation."""

    def dealt(image: Image) -> Image:
        if image.split == "test":
            return image
        return replace(image, split="val" if image.position in held else "train")

    return replace(index, images=tuple(map(dealt, index.images)))


def line_of(repeats: Repeats) -> str:
    """Say what they came to, in a line."""
    found, parts = repeats.to_json(), _parts(repeats)
    return (
        f"{' x '.join(parts)}: validation {found['mean']:.1%} on average, standard deviation "
        f"{100 * found['std']:.1f} points ({found['low']:.1%} to {found['high']:.1%})"
    )


def _parts(repeats: Repeats) -> Sequence[str]:
    folds = [f"{repeats.folds} folds"] if repeats.folds > 1 else []
    return [*folds, f"{repeats.seeds} seeds"] if repeats.seeds > 1 else folds
