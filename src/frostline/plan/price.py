"""The price of a stage, told before it is paid: every part timed on this machine for a moment."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from frostline.config import TrainConfig
from frostline.hardware import Computer
from frostline.network.convolutions import FastConvolutions
from frostline.network.splitting import Split
from frostline.plan.optimizers import optimizer_over
from frostline.plan.stages import Stage

PROBE_PICTURES = 8
"""With which timing begins."""
MOMENT = 0.2
"""Seconds that a timing is to fill, so that what a step costs beside its pictures is shared by as many as in a step."""
SOME_PARAMETERS = 2 * 10**6
RAM_LIMIT = 10**9
"""Stores up to this many bytes are read into memory."""
READ_BYTES_PER_SECOND = 1e9
"""What reading rows from disk is assumed to reach."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured seconds per picture."""

    decode: float
    prefix: float
    train: float
    """Suffix forward and backward, and the update."""
    evaluate: float
    """Suffix forward."""


@dataclass(frozen=True, slots=True)
class StagePrice:
    """What a stage costs, with and without stored activations."""

    stage: Stage
    rows: int
    missing: int
    row_bytes: int
    seconds_pass: float
    """To compute the missing rows."""
    seconds_stored: float
    """The pass included."""
    seconds_direct: float
    choice: str
    """ram, disk or off."""
    why: str

    @property
    def bytes(self) -> int:
        """Size of the stage's activations."""
        return self.rows * self.row_bytes

    @property
    def seconds(self) -> float:
        """Expected seconds of what was chosen."""
        return self.seconds_direct if self.choice == "off" else self.seconds_stored

    @property
    def epoch_seconds(self) -> float:
        """Expected seconds of an epoch, the pass before the first left out."""
        return (self.seconds - (0.0 if self.choice == "off" else self.seconds_pass)) / self.stage.epochs


@dataclass(frozen=True, slots=True)
class Workload:
    """How much a stage does: pictures per epoch, rows to store (0 where views never repeat), rows not there yet."""

    train: int
    val: int
    rows: int
    missing: int
    is_decoded_once: bool = False
    """Whether later epochs find the pictures in memory where nothing is stored."""


def seconds_per_picture(work: Callable[[int], object], most: int, fabric: Computer) -> float:
    """Time work on growing numbers of pictures, until it fills a moment: few pictures say little of a large batch.

    Args:
        work: does something with so many pictures.
        most: pictures at which to stop.
        fabric: whose device to wait for.
    """
    count = min(PROBE_PICTURES, most)
    while True:
        seconds = _seconds(partial(work, count), fabric)
        if seconds >= MOMENT or count == most:
            return seconds / count
        count = min(4 * count, most)


def time_suffix(split: Split, training: nn.Module, values: Sequence[Tensor], fabric: Computer) -> tuple[float, float]:
    """Time a training step and an evaluation, in seconds per picture; gradients are discarded, statistics restored.

    Args:
        split: of the stage; frozen already.
        training: its suffix as it trains, in training mode.
        values: what crosses the cut, (batch, ...) each, for as many pictures as a step takes.
        fabric: device and precision.
    """
    most = len(values[0])
    buffers = {name: buffer.clone() for name, buffer in split.suffix.named_buffers()}
    train = seconds_per_picture(lambda count: _train_once(training, _first(values, count), fabric), most, fabric)
    split.suffix.zero_grad(set_to_none=True)
    _restore(split.suffix, buffers)
    split.evaluating.eval()
    evaluate = seconds_per_picture(
        lambda count: _evaluate_once(split.evaluating, _first(values, count), fabric), most, fabric
    )
    return train, evaluate


def time_update(config: TrainConfig, count: int, fabric: Computer) -> float:
    """Seconds that the optimizer takes to update so many parameters, told from some."""
    some = max(1, min(count, SOME_PARAMETERS))
    parameter = nn.Parameter(torch.zeros(some, device=fabric.device))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = optimizer_over(config, [{"params": [parameter]}], lr=0.0)
    return _seconds(optimizer.step, fabric) * count / some


def _first(values: Sequence[Tensor], count: int) -> list[Tensor]:
    return [value[:count].clone() for value in values]  # an in-place ReLU may come first


def _train_once(training: nn.Module, values: Sequence[Tensor], fabric: Computer) -> None:
    with fabric.autocast(), FastConvolutions():
        logits = training(*values)
    logits.float().logsumexp(dim=1).mean().backward()


def _evaluate_once(suffix: nn.Module, values: Sequence[Tensor], fabric: Computer) -> None:
    with torch.no_grad(), fabric.autocast(), FastConvolutions():
        suffix(*values)


def price_stage(
    stage: Stage, split: Split, work: Workload, timing: Timing, row_bytes: int, *, mode: str, room: int
) -> StagePrice:
    """Choose where the stage's frozen layers come from, and say what both ways cost.

    Args:
        stage: what is priced.
        split: the stage's.
        work: how much there is to do.
        timing: measured on this machine.
        row_bytes: of one row.
        mode: auto, ram, disk or off, as asked for.
        room: bytes that the store may take.
    """
    size = work.rows * row_bytes
    suffix = stage.epochs * (work.train * timing.train + work.val * timing.evaluate)
    shown = stage.epochs * (work.train + work.val)
    decoded = work.train + work.val if work.is_decoded_once else shown
    direct = decoded * timing.decode + shown * timing.prefix + suffix
    read = 0.0 if size <= RAM_LIMIT else shown * row_bytes / READ_BYTES_PER_SECOND
    computing = work.missing * (timing.decode + timing.prefix)
    stored = computing + read + suffix
    choice, why = _choose(mode, split, work, size, room, stored, direct)
    return StagePrice(stage, work.rows, work.missing, row_bytes, computing, stored, direct, choice, why)


def _choose(
    mode: str, split: Split, work: Workload, size: int, room: int, stored: float, direct: float
) -> tuple[str, str]:
    if split.is_whole:
        return "off", "nothing is frozen"
    if not work.rows:
        return "off", "views drawn anew never repeat; none, flip or crops:K alone can be stored"
    if mode != "auto":
        return mode, "as asked for"
    if not work.missing:
        return "disk", "all stored before"
    if size > room:
        return "off", f"activations of {size / 1e9:.1f} GB do not fit in {room / 1e9:.1f} GB"
    if stored >= direct:
        return "off", "storing would cost more than it saves"
    kept = "disk, read into memory" if size <= RAM_LIMIT else "disk"
    return "disk", f"kept on {kept}; {direct / max(stored, 1e-9):.1f} times faster than computing anew"


def _seconds(work: Callable[[], object], fabric: Computer) -> float:
    """Time a piece of work once, after one run to warm up."""
    work()
    _wait(fabric)
    start = time.perf_counter()
    work()
    _wait(fabric)
    return time.perf_counter() - start


def _wait(fabric: Computer) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)


def _restore(module: nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, buffer in module.named_buffers():
        buffer.copy_(buffers[name])
