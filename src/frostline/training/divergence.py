"""Numbers that are none any more: found before anything of them is kept, and told with the step that made them."""

from frostline.data.pictures import first_few
from frostline.errors import DivergedError
from frostline.training.finite import are_finite
from frostline.training.history import History
from frostline.training.stagerun import StageRun, batches_of
from frostline.training.task import Task


def expect_finite(task: Task, run: StageRun, history: History, epoch: int, step: int) -> None:
    """Look whether a step (from 0, of its epoch) has left weights, statistics and averages that are numbers.

    Raises:
        DivergedError: it has not.
    """
    averages = run.average.values.values() if run.average else ()
    if not are_finite([*run.finite, *averages]):
        raise diverged(task, run, history, epoch, step, "the weights are not finite after")


def diverged(task: Task, run: StageRun, history: History, epoch: int, step: int, what: str) -> DivergedError:
    """Say at which step (from 0, of its epoch) something was no number any more, and what that step saw.

    Args:
        task: the run's.
        run: the stage under way.
        history: of all epochs before.
        epoch: of the stage, from 0.
        step: of the epoch.
        what: is not finite, and whether at or after the step.
    """
    images, batches = task.train_images(), batches_of(task, run.stage, epoch)
    paths, number = [images[i].path for i in batches[step]], len(history.steps) + step + 1
    lr = run.rate(epoch, step, len(batches), history.val_losses(run.stage.number + 1))
    return DivergedError(
        f"{what} step {number} ({run.stage.name}, rate {lr:g}; pictures {first_few(paths)}); lower the learning rate "
        "(--lr, or @RATE in the stage) or use --precision fp32",
        {"stage": run.stage.name, "epoch": history.done + 1, "step": number, "lr": lr, "pictures": paths},
    )
