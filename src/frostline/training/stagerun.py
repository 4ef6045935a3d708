"""A stage under way, and the batches of its epochs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor

from frostline.network.pooling import channel_axis
from frostline.network.splitting import Split
from frostline.plan.optimizers import make_optimizer
from frostline.plan.schedules import Schedule, parse_schedule
from frostline.plan.stages import Stage, training_graph
from frostline.training.averaging import Average
from frostline.training.finite import finite_tensors
from frostline.training.order import shuffled_batches
from frostline.training.saving import Saver
from frostline.training.state import State, write_moments
from frostline.training.stopping import Stop
from frostline.training.task import Feeds, Origin, Task


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage under way."""

    stage: Stage
    split: Split
    feeds: Feeds
    origin: Origin
    suffix: _FabricModule
    optimizer: _FabricOptimizer
    schedule: Schedule
    channel_axes: tuple[int, ...]
    """Of each value that crosses the cut, the batch not counted."""
    average: Average | None
    """Where the settings ask for one; what is measured and kept is then the average."""
    finite: tuple[Tensor, ...]
    """What of the suffix was finite when the stage began, and has to stay so."""
    saver: Saver
    stop: Stop

    def rate(self, epoch: int, step: int, steps: int, val_losses: Sequence[float]) -> float:
        """The learning rate of a step (from 0) of an epoch (from 0) of so many, after epochs with these losses."""
        return self.stage.lr * self.schedule.factor(
            epoch * steps + step, steps_per_epoch=steps, epochs=self.stage.epochs, val_losses=val_losses
        )

    def measured(self) -> AbstractContextManager[None]:
        """Have the network hold what is measured and kept."""
        return self.average.applied() if self.average else nullcontext()


def set_up(
    task: Task,
    stage: Stage,
    divided: Split,
    feeds: Feeds,
    origin: Origin,
    resumed: State | None,
    *,
    saver: Saver,
    stop: Stop,
) -> StageRun:
    """Make a stage's optimizer and average, as they begin or as they were saved.

    Args:
        task: the run's.
        stage: of its plan.
        divided: the network at the stage's frost line, frozen below it.
        feeds: of its batches.
        origin: of its frozen layers.
        resumed: state to go on from, where it is of this stage.
        saver: saves its state.
        stop: notes signals.
    """
    optimizer = make_optimizer(task.config, stage, divided)
    suffix, wrapped = task.fabric.setup(training_graph(divided, task.config, task.network.head), optimizer)
    average = None
    if task.config.ema:
        steps = resumed.epoch * len(batches_of(task, stage, 0)) + resumed.step if resumed else 0
        values = resumed.average if resumed else None
        average = Average(divided.suffix, task.config.ema, steps=steps, values=values)
    if resumed:
        write_moments(wrapped.optimizer, dict(divided.suffix.named_parameters()), resumed.moments)
    axes = tuple(channel_axis(shape, task.network.preprocess.input_shape) for shape in divided.cut.shapes)
    schedule = parse_schedule(task.config.schedule)
    finite = finite_tensors(divided.suffix)
    return StageRun(stage, divided, feeds, origin, suffix, wrapped, schedule, axes, average, finite, saver, stop)


def batches_of(task: Task, stage: Stage, epoch: int) -> list[list[int]]:
    """The numbers of the training pictures of each step of an epoch, over all processes."""
    return shuffled_batches(
        len(task.train_images()),
        task.config.batch_size,
        seed=task.config.seed,
        stage=stage.number,
        epoch=epoch,
        smallest=2 * task.fabric.world_size,
    )
