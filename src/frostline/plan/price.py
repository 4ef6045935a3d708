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
    bytes: int
    """Of the stage's activations."""
    seconds_pass: float
    """To compute the missing rows."""
    seconds_stored: float
    """The pass included."""
    seconds_direct: float
    choice: str
    """ram, disk or off."""
    why: str

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

    @property
    def shown(self) -> int:
        """Pictures per epoch."""
        return self.train + self.val


@dataclass(frozen=True, slots=True)
class Part:
    """The pictures of one size in a stage: how many, how long each takes, how much a row of theirs takes."""

    work: Workload
    timing: Timing
    row_bytes: int

    @property
    def seconds_suffix(self) -> float:
        """Of an epoch, above the frost line."""
        return self.work.train * self.timing.train + self.work.val * self.timing.evaluate

    @property
    def seconds_pass(self) -> float:
        """To compute the missing rows."""
        return self.work.missing * (self.timing.decode + self.timing.prefix)

    def seconds_frozen(self, epochs: int) -> float:
        """Below the frost line, where nothing is stored."""
        decoded = self.work.shown * (1 if self.work.is_decoded_once else epochs)
        return decoded * self.timing.decode + epochs * self.work.shown * self.timing.prefix


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


def price_stage(stage: Stage, split: Split, parts: Sequence[Part], *, mode: str, room: int) -> StagePrice:
    """Choose where the stage's frozen layers come from, and say what both ways cost.

    Args:
        stage: what is priced.
        split: the stage's.
        parts: how much there is to do, by the size of the pictures.
        mode: auto, ram, disk or off, as asked for.
        room: bytes that the store may take.
    """
    rows, missing = sum(part.work.rows for part in parts), sum(part.work.missing for part in parts)
    size = sum(part.work.rows * part.row_bytes for part in parts)
    shown = stage.epochs * sum(part.work.shown * part.row_bytes for part in parts)
    read = 0.0 if size <= RAM_LIMIT else shown / READ_BYTES_PER_SECOND
    suffix = stage.epochs * sum(part.seconds_suffix for part in parts)
    direct = sum(part.seconds_frozen(stage.epochs) for part in parts) + suffix
    computing = sum(part.seconds_pass for part in parts)
    stored = computing + read + suffix
    choice, why = "off", "nothing is frozen"
    if not split.is_whole:
        choice, why = _choose(mode, rows, missing, size, room, stored, direct)
    return StagePrice(stage, rows, missing, size, computing, stored, direct, choice, why)


def _choose(mode: str, rows: int, missing: int, size: int, room: int, stored: float, direct: float) -> tuple[str, str]:
    if not rows:
        return "off", "views drawn anew never repeat; none, flip or crops:K alone can be stored"
    if mode != "auto":
        return mode, "as asked for"
    if not missing:
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
