"""The training loop: stages of epochs of steps, the best by validation kept.

Everything random is a function of (seed, stage, epoch, step), so a run resumed from any saved epoch ends with the same
bytes as one that was never interrupted.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer

from frostline.activations.feed import Feed
from frostline.config import TrainConfig
from frostline.data.index import Image
from frostline.errors import BundleError, DivergedError
from frostline.hardware import seed_device
from frostline.network.pooling import channel_axis
from frostline.network.splitting import Split, split
from frostline.plan.optimizers import make_optimizer, set_lr
from frostline.plan.schedules import Schedule, parse_schedule
from frostline.plan.stages import ParameterCounts, Stage, freeze, start_training_mode, training_graph
from frostline.plan.timeleft import TimeLeft
from frostline.randomness import seed_of
from frostline.sealed import Tensors, digest_tensors
from frostline.training.averaging import Average
from frostline.training.headstart import fit_head
from frostline.training.history import EpochRow, History, StepRow
from frostline.training.lines import epoch_header, epoch_line
from frostline.training.mixing import draw_mix
from frostline.training.order import share_of, shuffled_batches, train_requests
from frostline.training.scoring import evaluate, over_processes
from frostline.training.state import State, read_moments, write_moments
from frostline.training.step import Rules, train_step
from frostline.training.task import Origin, Task, engine_of, open_feed, price_of, stage_requests

SAVE_SECONDS = 10.0


@dataclass(slots=True)
class Progress:
    """Where a training stands."""

    history: History
    best: Tensors
    """All that the plan trains, as it was at the best epoch."""
    trained: tuple[str, ...]
    """Names of all parameters and buffers that the plan trains."""
    frozen: str
    """Digest of all the others."""
    choice: str = "off"
    """Where the last stage had its frozen layers from: ram, disk or off."""
    left: TimeLeft = field(default_factory=TimeLeft)
    """Of the stages from the one that this process began with."""
    paid: dict[int, float] = field(default_factory=dict)
    """Seconds that stages took, by number; those that began before this process are left out."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage under way."""

    stage: Stage
    split: Split
    feed: Feed
    origin: Origin
    suffix: _FabricModule
    optimizer: _FabricOptimizer
    schedule: Schedule
    channel_axes: tuple[int, ...]
    """Of each value that crosses the cut, the batch not counted."""
    average: Average | None
    """Where the settings ask for one; what is measured and kept is then the average."""

    def measured(self) -> AbstractContextManager[None]:
        """Have the network hold what is measured and kept."""
        return self.average.applied() if self.average else nullcontext()


Save = Callable[[State], None]


def run_plan(task: Task, *, resumed: State | None, save: Save) -> Progress:
    """Train all stages; the network ends with its last weights, `Progress.best` holds the best ones.

    Args:
        task: what to train.
        resumed: state to go on from.
        save: called with the state after an epoch, every few seconds and at the end of each stage.

    Raises:
        DivergedError: the loss is not finite.
        BundleError: the state is of other starting weights.
    """
    progress = _start(task, resumed)
    if resumed is None and task.fits_head:
        progress.history.add(fit_head(task))
        progress.best = snapshot(task, progress.trained)
    stages = task.plan[resumed.stage if resumed else 0 :]
    progress.left = TimeLeft({stage.number: price_of(task, stage) for stage in stages[1:]})
    for stage in stages:
        if _is_late(task, progress):
            task.reporter.say(f"time is up: {stage.name} is left out")
            break
        _run_stage(task, stage, progress, resumed if resumed and resumed.stage == stage.number else None, save)
    return progress


def _start(task: Task, resumed: State | None) -> Progress:
    module, names = task.network.module, trained_names(task)
    frozen = digest_tensors({name: value for name, value in module.state_dict().items() if name not in set(names)})
    if resumed is None:
        return Progress(History(), {}, names, frozen)
    if resumed.frozen != frozen or set(resumed.weights) != set(names):
        raise BundleError("the starting weights or the plan are not those of the interrupted run; start the run anew")
    module.load_state_dict(resumed.weights, strict=False)
    return Progress(resumed.history, resumed.best, names, frozen, resumed.choice)


def trained_names(task: Task) -> tuple[str, ...]:
    """Names of all parameters and buffers that the plan trains."""
    names = [name for stage in task.plan for name in split(task.traced, stage.cut).suffix.state_dict()]
    return tuple(dict.fromkeys(names))


def _run_stage(task: Task, stage: Stage, progress: Progress, resumed: State | None, save: Save) -> None:
    price = price_of(task, stage, resumed.engine if resumed else None)  # settles the evaluation's engine too
    progress.left.prices[stage.number] = price
    if resumed and resumed.epoch >= stage.epochs:
        return
    divided = split(task.traced, stage.cut)
    counts, engine = freeze(task.network.module, divided), engine_of(task, divided)
    _announce(task, stage, counts, f"{price.choice}: {price.why}, about {price.seconds:.0f} s, by {engine.name}")
    choice = resumed.choice if resumed else task.fabric.broadcast(price.choice)  # clocks differ between processes
    origin = Origin(engine, choice)
    progress.choice = choice
    start = time.monotonic()
    feed = open_feed(task, divided, origin, stage_requests(task))
    with task.watch.span("training"):
        run = _set_up(task, stage, divided, feed, origin, resumed)
        saved = time.monotonic()
        for epoch in range(resumed.epoch if resumed else 0, stage.epochs):
            if _is_stopped(task, stage, progress) or _is_late(task, progress):
                break
            is_best = _run_epoch(task, run, progress, epoch)
            _tell(task, stage, progress.history.epochs[-1], epoch, is_best=is_best)
            task.log(progress.history)
            if time.monotonic() - saved > SAVE_SECONDS and epoch + 1 < stage.epochs:
                save(_state(task, run, progress, stage.number, epoch + 1))
                saved = time.monotonic()
        if run.average:
            run.average.take_over()
        save(_state(task, run, progress, stage.number, stage.epochs))
    if resumed is None:
        progress.paid[stage.number] = time.monotonic() - start


def _set_up(task: Task, stage: Stage, divided: Split, feed: Feed, origin: Origin, resumed: State | None) -> StageRun:
    optimizer = make_optimizer(task.config, stage, divided)
    suffix, wrapped = task.fabric.setup(training_graph(divided, task.config, task.network.head), optimizer)
    average = None
    if task.config.ema:
        steps = resumed.epoch * len(_batches(task, stage, 0)) if resumed else 0
        values = resumed.average if resumed else None
        average = Average(divided.suffix, task.config.ema, steps=steps, values=values)
    if resumed:
        write_moments(wrapped.optimizer, dict(divided.suffix.named_parameters()), resumed.moments)
    axes = tuple(channel_axis(shape, task.network.preprocess.input_shape) for shape in divided.cut.shapes)
    return StageRun(stage, divided, feed, origin, suffix, wrapped, parse_schedule(task.config.schedule), axes, average)


def _batches(task: Task, stage: Stage, epoch: int) -> list[list[int]]:
    return shuffled_batches(
        len(task.train_images()),
        task.config.batch_size,
        seed=task.config.seed,
        stage=stage.number,
        epoch=epoch,
        smallest=2 * task.fabric.world_size,
    )


def _run_epoch(task: Task, run: StageRun, progress: Progress, epoch: int) -> bool:
    """Train and measure once; note it, keep the best; tell whether this is it."""
    history, left, start = progress.history, progress.left, time.perf_counter()
    images = task.train_images()
    number, what = run.stage.number, f"epoch {epoch + 1}/{run.stage.epochs}"

    def seconds_left(share: float) -> float:
        return left.after(number, epoch, share, time.perf_counter() - start)

    with task.reporter.bar(len(images), what, seconds_left) as advance:
        train_loss, train_accuracy, lr = _train_epoch(task, run, history, epoch, images, advance)
    trained = time.perf_counter()
    with run.measured():
        val_loss, val_accuracy = evaluate(task, run.split, run.feed, task.val_images())
        row = EpochRow(
            stage=run.stage.number + 1,
            epoch=_epochs_done(history) + 1,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=lr,
            seconds=time.perf_counter() - start,
            images_per_second=len(images) / (trained - start),
            cached=run.feed.is_stored,
        )
        left.note(number, row.seconds)
        is_best = history.add(row)
        if is_best:
            progress.best = snapshot(task, progress.trained)
    return is_best


def _train_epoch(
    task: Task, run: StageRun, history: History, epoch: int, images: list[Image], advance: Callable[[int], None]
) -> tuple[float, float, float]:
    """Train on every picture once; give mean loss, accuracy and the last rate."""
    config, fabric, stage = task.config, task.fabric, run.stage
    count, shown = len(images), _epochs_done(history)
    batches = _batches(task, stage, epoch)
    mine = [share_of(batch, fabric.global_rank, fabric.world_size) for batch in batches]
    requests = train_requests(images, task.views, seed=config.seed, epoch=shown)
    labels = torch.tensor([image.label for image in images], device=fabric.device)
    val_losses = [row.val_loss for row in history.of_stage(stage.number + 1)]
    sums, lr = [], stage.lr
    start_training_mode(run.split.suffix, config, task.network.head)
    for step, (numbers, values) in enumerate(
        zip(mine, run.feed.batches([[requests[i] for i in b] for b in mine]), strict=True)
    ):
        lr = stage.lr * run.schedule.factor(
            epoch * len(batches) + step, steps_per_epoch=len(batches), epochs=stage.epochs, val_losses=val_losses
        )
        set_lr(run.optimizer.optimizer, lr)
        seed_device(fabric.device, seed_of(config.seed, "dropout", stage.number, epoch, step, fabric.global_rank))
        rules = _rules(config, run, epoch, step)
        share = len(numbers) * fabric.world_size / len(batches[step])
        result = train_step(
            run.suffix, values, labels[numbers], run.optimizer.optimizer, fabric, rules=rules, share=share
        )
        if run.average:
            run.average.update()
        sums.append(torch.stack([result.loss, result.correct]))
        advance(len(batches[step]))
    totals = over_processes(task, torch.stack(sums).double())
    losses = [float(loss) / len(batch) for loss, batch in zip(totals[:, 0], batches, strict=True)]
    _record_steps(history, stage, losses, lr)
    return float(totals[:, 0].sum()) / count, float(totals[:, 1].sum()) / count, lr


def _rules(config: TrainConfig, run: StageRun, epoch: int, step: int) -> Rules:
    """How one step learns; what it draws is a function of where it stands."""
    seed = seed_of(config.seed, "mix", run.stage.number, epoch, step)
    mix = draw_mix(config.mixup, config.cutmix, seed)
    return Rules(config.label_smoothing, mix, seed, run.channel_axes, config.clip_grad)


def _record_steps(history: History, stage: Stage, losses: list[float], lr: float) -> None:
    """Note every step's loss; refuse to go on from one that is not a number."""
    before = len(history.steps)
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} at step {before + i + 1} ({stage.name}, rate {lr:g}); lower the learning rate "
                "(--lr, or @RATE in the stage) or use --precision fp32"
            )
        history.steps.append(StepRow(stage.number + 1, _epochs_done(history) + 1, before + i + 1, loss))


def _epochs_done(history: History) -> int:
    return sum(row.epoch > 0 for row in history.epochs)


def _is_stopped(task: Task, stage: Stage, progress: Progress) -> bool:
    patience = task.config.patience
    return patience is not None and progress.history.waited(stage.number + 1) >= patience


def _is_late(task: Task, progress: Progress) -> bool:
    """Tell whether another epoch such as the last would end after the deadline; one process decides for all."""
    epochs = progress.history.epochs
    if task.deadline == math.inf or not epochs:
        return False
    late: bool = task.fabric.broadcast(time.monotonic() + epochs[-1].seconds > task.deadline)
    return late


def snapshot(task: Task, names: tuple[str, ...]) -> Tensors:
    """Copy parameters and buffers as they are now."""
    state = task.network.module.state_dict()
    return {name: state[name].detach().clone() for name in names}


def _state(task: Task, run: StageRun, progress: Progress, stage: int, epoch: int) -> State:
    names = {id(parameter): name for name, parameter in run.split.suffix.named_parameters()}
    return State(
        stage=stage,
        epoch=epoch,
        history=progress.history,
        weights=snapshot(task, progress.trained),
        best=progress.best,
        moments=read_moments(run.optimizer.optimizer, names),
        average=dict(run.average.values) if run.average else {},
        frozen=progress.frozen,
        choice=run.origin.choice,
        engine=run.origin.engine.kind,
    )


def _announce(task: Task, stage: Stage, counts: ParameterCounts, choice: str) -> None:
    task.reporter.say(
        f"stage {stage.number + 1}/{len(task.plan)}, {stage.part}: {stage.epochs} epochs at {stage.lr:g}; "
        f"{counts.trainable:,} parameters train, {counts.frozen:,} are frozen (frost line at {stage.cut.name}); "
        f"activations {choice}"
    )
    task.reporter.say(epoch_header(stage.epochs))


def _tell(task: Task, stage: Stage, row: EpochRow, epoch: int, *, is_best: bool) -> None:
    line = epoch_line(row, stages=len(task.plan), epoch=epoch + 1, epochs=stage.epochs, is_best=is_best)
    task.reporter.say(line)
