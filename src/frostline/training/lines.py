"""How a training tells its epochs: a line each, under a header for each stage."""

from frostline.training.history import EpochRow


def epoch_header(epochs: int) -> str:
    """Name the columns of a stage's lines.

    Args:
        epochs: of the stage; their number sets a width.
    """
    return (
        f"stage  {'epoch':>{_width(epochs)}}  {'loss':>13} {'acc.':>6}  {'loss':>11} {'acc.':>6}    "
        f"{'rate':>7}  {'time':>7}  {'pictures/s':>10}  (* best so far)"
    )


def epoch_line(row: EpochRow, *, stages: int, epoch: int, epochs: int, is_best: bool) -> str:
    """Tell one epoch.

    Args:
        row: what it came to.
        stages: of the plan.
        epoch: within the stage, from 1.
        epochs: of the stage.
        is_best: whether it is better than all before it; marked with a star.
    """
    stage, place = f"{row.stage}/{stages}", f"{epoch}/{epochs}"
    return (
        f"{stage:>5}  {place:>{_width(epochs)}}  train {row.train_loss:7.4f} {row.train_accuracy:6.1%}  "
        f"val {row.val_loss:7.4f} {row.val_accuracy:6.1%} {'*' if is_best else ' '}  "
        f"{row.lr:7.2g}  {duration(row.seconds):>7}  {rate(row.images_per_second):>10}"
    )


def duration(seconds: float) -> str:
    """Write a time so that it can be read at a glance.

    >>> [duration(s) for s in (0.04, 9.96, 75, 3700)]
    ['0.0 s', '10.0 s', '1m15s', '1h02m']
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes:02d}m"


def rate(per_second: float) -> str:
    """Write a number per second: tenths below ten, whole numbers above.

    >>> [rate(r) for r in (0.32, 9.4, 123.4, 12345)]
    ['0.3', '9.4', '123', '12,345']
    """
    return f"{per_second:.1f}" if per_second < 9.95 else f"{per_second:,.0f}"


def _width(epochs: int) -> int:
    return max(len("epoch"), 2 * len(str(epochs)) + 1)
