"""The training loop: stages of epochs of steps, the best by validation kept.

Everything random is a function of (seed, stage, epoch, step), so a run resumed from any saved step ends with the same
bytes as one that was never interrupted.
"""

import math
import time
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from frostline.errors import BundleError
from frostline.network.splitting import split
from frostline.plan.stages import ParameterCounts, Stage, freeze
from frostline.plan.timeleft import TimeLeft
from frostline.sealed import Tensors, digest_tensors
from frostline.training.divergence import diverged, expect_finite
from frostline.training.epoch import Sums, train_epoch
from frostline.training.headstart import fit_head
from frostline.training.history import EpochRow, History, StepRow
from frostline.training.lines import epoch_header, epoch_line
from frostline.training.pricing import price_of
from frostline.training.saving import Save, Saver
from frostline.training.scoring import evaluate, over_processes
from frostline.training.stagerun import StageRun, set_up
from frostline.training.state import STEPS, State, read_moments
from frostline.training.stopping import Stop
from frostline.training.task import Origin, Task, engine_of, open_feeds

NOTHING_DONE = torch.zeros(0, 2)
STATE_COPIES = 4
"""Of what the plan trains, in a state: the weights, the best ones, and up to two moments."""


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


def run_plan(task: Task, *, resumed: State | None, save: Save) -> Progress:
    """Train all stages; the network ends with its last weights, `Progress.best` holds the best ones.

    Args:
        task: what to train.
        resumed: state to go on from.
        save: called with the state now and then and at the end of a stage, where the time so far pays for it, and at
            the end.

    Raises:
        DivergedError: a loss or the weights are not finite.
        BundleError: the state is of other starting weights.
    """
    progress = _start(task, resumed)
    saver = Saver(save, task.watch, STATE_COPIES * _bytes(task, progress.trained))
    if resumed is None and task.fits_head:
        progress.history.add(fit_head(task))
        progress.best = snapshot(task, progress.trained)
    stages = task.plan[resumed.stage if resumed else 0 :]
    progress.left = TimeLeft({stage.number: price_of(task, stage) for stage in stages[1:]})
    for stage in stages:
        if _is_past(task, progress):
            break
        if _is_late(task, progress):
            task.reporter.say(f"time is up: {stage.name} is left out")
            break
        _run_stage(task, stage, progress, resumed if resumed and resumed.stage == stage.number else None, saver)
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


def _run_stage(task: Task, stage: Stage, progress: Progress, resumed: State | None, saver: Saver) -> None:
    price = price_of(task, stage, resumed.engine if resumed else None)  # settles the evaluation's engine too
    progress.left.prices[stage.number] = price
    if resumed and resumed.epoch >= stage.epochs:
        return
    divided = split(task.traced, stage.cut)
    counts, engine = freeze(task.network.module, divided), engine_of(task, divided)
    _announce(task, stage, counts, f"{price.choice}: {price.why}, about {price.seconds:.0f} s, by {engine.name}")
    choice = resumed.choice if resumed else task.fabric.broadcast(price.choice)  # clocks differ between processes
    start = time.monotonic()
    feeds = open_feeds(task, stage, divided, Origin(engine, choice))
    origin = Origin(engine, choice if feeds.training.is_stored else "off")
    progress.choice = origin.choice
    with task.watch.span("training"), Stop() as stop:
        run = set_up(task, stage, divided, feeds, origin, resumed, saver=saver, stop=stop)
        _run_epochs(task, run, progress, resumed)
        if run.average:
            run.average.take_over()
        if saver.is_affordable or _is_last(task, stage, progress):
            saver.save(lambda: _state(task, run, progress, stage.epochs))
    if resumed is None:
        progress.paid[stage.number] = time.monotonic() - start


def _run_epochs(task: Task, run: StageRun, progress: Progress, resumed: State | None) -> None:
    """Train the epochs that are left."""
    stage, done = run.stage, resumed.done if resumed else NOTHING_DONE
    for epoch in range(resumed.epoch if resumed else 0, stage.epochs):
        if not len(done) and _is_over(task, stage, progress):
            break
        is_best = _run_epoch(task, run, progress, epoch, done)
        done = NOTHING_DONE
        _tell(task, stage, progress.history.epochs[-1], epoch, is_best=is_best)
        task.log(progress.history, progress.left)
        if run.saver.is_due and epoch + 1 < stage.epochs:
            run.saver.save(partial(_state, task, run, progress, epoch + 1))


def _run_epoch(task: Task, run: StageRun, progress: Progress, epoch: int, done: Tensor) -> bool:
    """Train and measure once; note it, keep the best; tell whether this is it."""
    history, left, start = progress.history, progress.left, time.perf_counter()
    number, what = run.stage.number, f"epoch {epoch + 1}/{run.stage.epochs}"
    sums = list((done if task.fabric.is_global_zero else torch.zeros_like(done)).to(task.fabric.device))

    def seconds_left(share: float) -> float:
        return left.after(number, epoch, share, time.perf_counter() - start)

    with task.reporter.bar(len(task.train_images()), what, seconds_left) as advance:
        pause = partial(_pause, task, run, progress, epoch, sums)
        trained = train_epoch(task, run, history, epoch, sums, advance=advance, pause=pause)
    took = time.perf_counter() - start
    expect_finite(task, run, history, epoch, len(sums) - 1)
    val_loss, val_accuracy = _measure(task, run, progress, epoch, sums)
    if not math.isfinite(val_loss):
        raise diverged(task, run, history, epoch, len(sums) - 1, "the validation loss is not finite after")
    row = EpochRow(
        stage=run.stage.number + 1,
        epoch=history.done + 1,
        train_loss=trained.loss,
        train_accuracy=trained.accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=trained.lr,
        seconds=time.perf_counter() - start,
        images_per_second=trained.pictures / took,
        cached=run.feeds.training.is_stored,
    )
    left.note(number, row.seconds)
    before = len(history.steps)
    history.steps += [StepRow(row.stage, row.epoch, before + i + 1, loss) for i, loss in enumerate(trained.losses)]
    is_best = history.add(row)
    if is_best:
        with run.measured():
            progress.best = snapshot(task, progress.trained)
    return is_best


def _pause(task: Task, run: StageRun, progress: Progress, epoch: int, sums: Sums) -> None:
    """Between two steps: save where it is time to, and end where a signal came."""
    is_due, is_ending = _agreed(task, run.saver.is_due, run.stop.is_wanted)
    if is_due or is_ending:
        expect_finite(task, run, progress.history, epoch, len(sums) - 1)
        steps = over_processes(task, torch.stack(sums))
        run.saver.save(lambda: _state(task, run, progress, epoch, steps))
    if is_ending:
        run.stop.end()


def _agreed(task: Task, *wishes: bool) -> list[bool]:
    """What any process wants, for all must do the same."""
    if task.fabric.world_size == 1:
        return list(wishes)
    return [bool(total) for total in over_processes(task, torch.tensor(wishes, dtype=torch.float32))]


def _measure(task: Task, run: StageRun, progress: Progress, epoch: int, sums: Sums) -> tuple[float, float]:
    """Loss and accuracy on the validation pictures; a signal ends this at once, and the epoch's steps are kept."""
    try:
        with run.measured(), run.stop.at_once():
            return evaluate(task, run.split, run.feeds.measuring, task.val_images())
    except (KeyboardInterrupt, SystemExit):
        if task.fabric.world_size == 1:
            run.saver.save(lambda: _state(task, run, progress, epoch, torch.stack(sums)))
        raise


def _is_last(task: Task, stage: Stage, progress: Progress) -> bool:
    """Tell whether no other stage comes."""
    return stage is task.plan[-1] or _is_late(task, progress)


def _is_over(task: Task, stage: Stage, progress: Progress) -> bool:
    """Tell whether a stage ends before its next epoch."""
    patience = task.config.patience
    is_waiting = patience is not None and progress.history.waited(stage.number + 1) >= patience
    return _is_past(task, progress) or is_waiting or _is_late(task, progress)


def _is_past(task: Task, progress: Progress) -> bool:
    epochs = progress.history.epochs
    return bool(epochs) and epochs[-1].epoch >= task.last_epoch


def _is_late(task: Task, progress: Progress) -> bool:
    """Tell whether another epoch such as the last would end after the deadline; one process decides for all."""
    epochs = progress.history.epochs
    if task.deadline == math.inf or not epochs:
        return False
    late: bool = task.fabric.broadcast(time.monotonic() + epochs[-1].seconds > task.deadline)
    return late


def _bytes(task: Task, names: tuple[str, ...]) -> int:
    state = task.network.module.state_dict()
    return sum(state[name].nbytes for name in names)


def snapshot(task: Task, names: tuple[str, ...]) -> Tensors:
    """Copy parameters and buffers as they are now."""
    state = task.network.module.state_dict()
    return {name: state[name].detach().clone() for name in names}


def _state(task: Task, run: StageRun, progress: Progress, epoch: int, steps: Tensor = NOTHING_DONE) -> State:
    """Where a run stands after so many epochs of a stage and the steps, (steps, 2), of one more."""
    names = {id(parameter): name for name, parameter in run.split.suffix.named_parameters()}
    return State(
        stage=run.stage.number,
        epoch=epoch,
        history=progress.history,
        weights=snapshot(task, progress.trained),
        best=progress.best,
        moments=read_moments(run.optimizer.optimizer, names),
        average=dict(run.average.values) if run.average else {},
        frozen=progress.frozen,
        choice=run.origin.choice,
        engine=run.origin.engine.kind,
        step=len(steps),
        sums={STEPS: steps},
    )


def _announce(task: Task, stage: Stage, counts: ParameterCounts, choice: str) -> None:
    task.reporter.say(
        f"stage {stage.number + 1}/{len(task.plan)}, {stage.shown}: {stage.epochs} epochs at {stage.lr:g}; "
        f"{counts.trainable:,} parameters train, {counts.frozen:,} are frozen (frost line at {stage.cut.name}); "
        f"activations {choice}"
    )
    task.reporter.say(epoch_header(stage.epochs))


def _tell(task: Task, stage: Stage, row: EpochRow, epoch: int, *, is_best: bool) -> None:
    line = epoch_line(row, stages=len(task.plan), epoch=epoch + 1, epochs=stage.epochs, is_best=is_best)
    task.reporter.say(line)
