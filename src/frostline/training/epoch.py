"""One epoch's steps, from the first or from where an interrupted one stood."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from frostline.config import TrainConfig
from frostline.hardware import seed_device
from frostline.plan.optimizers import set_lr
from frostline.plan.stages import start_training_mode
from frostline.randomness import seed_of
from frostline.training.divergence import diverged
from frostline.training.history import History
from frostline.training.mixing import draw_mix
from frostline.training.order import share_of, train_requests
from frostline.training.scoring import over_processes
from frostline.training.stagerun import StageRun, batches_of
from frostline.training.step import Rules, train_step
from frostline.training.task import Task

READ_TOGETHER = 16
"""Steps whose losses are read at once on devices where reading one waits for all work before it."""

Sums = list[Tensor]
"""Of each step of an epoch, (2,) float32: loss and right answers, added up over its pictures."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What an epoch's steps gave: means over its pictures, the loss of each step, the last learning rate."""

    loss: float
    accuracy: float
    losses: tuple[float, ...]
    lr: float
    pictures: int
    """Of the steps that were made now."""


def train_epoch(
    task: Task,
    run: StageRun,
    history: History,
    epoch: int,
    sums: Sums,
    *,
    advance: Callable[[int], None],
    pause: Callable[[], None],
) -> Trained:
    """Train on every picture once.

    Args:
        task: the run's.
        run: the stage under way.
        history: of all epochs before.
        epoch: of the stage, from 0.
        sums: of the steps that the epoch has seen already, where it was interrupted; those of all others are added.
        advance: told of pictures.
        pause: called after a step, when its loss and all before are known to be finite.

    Raises:
        DivergedError: a loss is not finite.
    """
    config, fabric, stage, first = task.config, task.fabric, run.stage, len(sums)
    images, batches = task.train_images(), batches_of(task, stage, epoch)
    requests = train_requests(images, task.views, seed=config.seed, epoch=history.done)
    labels = torch.tensor([image.label for image in images], device=fabric.device)
    mine = [share_of(batch, fabric.global_rank, fabric.world_size) for batch in batches]
    val_losses = history.val_losses(stage.number + 1)
    unread, together = first, 1 if fabric.device.type == "cpu" else READ_TOGETHER
    start_training_mode(run.split.suffix, config, task.network.head)
    if first:
        advance(sum(map(len, batches[:first])))

    def rate_at(step: int) -> float:
        return run.rate(epoch, step, len(batches), val_losses)

    feed = run.feeds.training.batches([[requests[i] for i in numbers] for numbers in mine[first:]])
    for step, values in zip(range(first, len(batches)), feed, strict=True):
        numbers = mine[step]
        set_lr(run.optimizer.optimizer, rate_at(step))
        seed_device(fabric.device, seed_of(config.seed, "dropout", stage.number, epoch, step, fabric.global_rank))
        rules = _rules(config, run, epoch, step)
        share = len(numbers) * fabric.world_size / len(batches[step])
        result = train_step(
            run.suffix, values, labels[numbers], run.optimizer.optimizer, fabric, rules=rules, share=share
        )
        if run.average:
            run.average.update()
        sums.append(torch.stack([result.loss, result.correct]).float())
        advance(len(batches[step]))
        if len(sums) - unread >= together or len(sums) == len(batches):
            wrong = _first_not_finite(sums[unread:])
            if wrong is not None:
                raise diverged(task, run, history, epoch, unread + wrong, "the loss is not finite at")
            unread = len(sums)
            pause()
    totals = over_processes(task, torch.stack(sums)).double().cpu()
    losses = tuple(float(loss) / len(batch) for loss, batch in zip(totals[:, 0], batches, strict=True))
    loss, correct = (float(total) / len(images) for total in totals.sum(dim=0))
    return Trained(loss, correct, losses, rate_at(len(batches) - 1), sum(map(len, batches[first:])))


def _rules(config: TrainConfig, run: StageRun, epoch: int, step: int) -> Rules:
    """How one step learns; what it draws is a function of where it stands."""
    seed = seed_of(config.seed, "mix", run.stage.number, epoch, step)
    mix = draw_mix(config.mixup, config.cutmix, seed)
    return Rules(config.label_smoothing, mix, seed, run.channel_axes, config.clip_grad)


def _first_not_finite(sums: Sums) -> int | None:
    losses = torch.stack(sums)[:, 0].tolist()
    return next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
