"""Which engine computes a network or its frozen part: torch, or OpenVINO where it is installed and faster here."""

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from blake3 import blake3
from filelock import FileLock
from torch import Tensor

from frostline.activations.compiled import FOLDER, Shelf
from frostline.activations.engines import Engine, TorchEngine
from frostline.activations.key import graph_digest
from frostline.activations.openvino_engine import Kept, OpenVinoEngine, Unsuited, is_installed, openvino_name
from frostline.data.preprocess import Preprocess
from frostline.errors import CacheError, ConfigError
from frostline.files import write_text
from frostline.hardware import Computer, cpu_name, precision_name
from frostline.network.splitting import Split
from frostline.plan.price import seconds_per_picture
from frostline.sealed import digest_tensors

ENGINES = ("auto", "torch", "openvino")
TIMINGS_FILE = "engines.json"
WORTH_SECONDS = 4.0
"""Work for torch below which OpenVINO is not tried: converting the network would take longer than it saves."""

Timings = dict[str, float]
"""Seconds per picture by engine; infinite where an engine cannot compute the network."""


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of a run; each is chosen when first asked for, and then kept."""

    wanted: str
    """auto, torch or openvino."""
    preprocess: Preprocess
    fabric: Computer
    cache_dir: Path
    """Where timings are written down, so that a second run chooses the same and need not time again."""
    made: dict[tuple[str, str], Engine] = field(default_factory=dict)
    """By the cut and the digest of the weights below it."""

    def of(
        self, split: Split, sample: Callable[[], Tensor], work: Callable[[], int], kind: str | None = None
    ) -> Engine:
        """Give the engine of a split's prefix.

        Args:
            split: of a stage.
            sample: gives uint8 pixels (batch, channels, height, width) to time it on.
            work: gives how many pictures there are to compute.
            kind: torch or openvino, where that is settled already.

        Raises:
            ConfigError: OpenVINO is asked for and not installed, or not for this device.
        """
        what = split.cut.name, digest_tensors(split.prefix.state_dict())
        if what not in self.made:
            plain = TorchEngine(split.prefix, self.preprocess, self.fabric)
            wanted = "torch" if split.is_whole else kind or self.wanted
            trial = Trial(lambda: graph_digest(split.prefix), sample, work)
            self.made[what] = choose_engine(plain, wanted, trial, self.cache_dir)
        return self.made[what]


@dataclass(frozen=True, slots=True)
class Trial:
    """What engines are timed on, where that is left to us; each is asked for only when needed."""

    graph: Callable[[], str]
    """Gives a digest of what is computed; raises CacheError where there is none."""
    sample: Callable[[], Tensor]
    """Gives uint8 pixels (batch, channels, height, width)."""
    work: Callable[[], int]
    """Gives how many pictures there are to compute."""


def choose_engine(plain: TorchEngine, wanted: str, trial: Trial, cache_dir: Path) -> Engine:
    """Give the engine that computes a network, or the frozen part of one.

    Args:
        plain: torch's.
        wanted: auto, torch or openvino.
        trial: for auto.
        cache_dir: holds the timings made before.

    Raises:
        ConfigError: no such engine; OpenVINO is asked for and not installed, or not for this device.
    """
    if wanted not in ENGINES:
        raise ConfigError(f"engine {wanted!r} is not known; allowed are {', '.join(ENGINES)}")
    if wanted == "torch":
        return plain
    if hindrance := _hindrance(plain.fabric):
        if wanted == "openvino":
            raise ConfigError(f"engine openvino: {hindrance}; use --engine auto")
        return plain
    graph = _graph(trial)
    kept = Kept(Shelf(cache_dir / FOLDER), graph) if graph else None
    compiled = OpenVinoEngine(plain, precision_name(plain.fabric), kept)
    if wanted == "openvino":
        return compiled
    return compiled if graph and _is_faster(compiled, plain, graph, trial, cache_dir) else plain


def _graph(trial: Trial) -> str:
    """The digest of what is computed; empty where there is none, and nothing can be remembered."""
    try:
        return trial.graph()
    except CacheError:
        return ""


def _hindrance(fabric: Computer) -> str:
    """Why OpenVINO cannot be used; empty where it can."""
    if fabric.device.type != "cpu" or fabric.world_size > 1:
        return "it computes on the CPU, in one process"
    return "" if is_installed() else "it is not installed (pip install 'frostline[openvino]')"


def _is_faster(compiled: OpenVinoEngine, plain: TorchEngine, graph: str, trial: Trial, cache_dir: Path) -> bool:
    question = _question(plain, graph)
    timings = _read(cache_dir).get(question, {})
    if "torch" not in timings:
        timings = _note(cache_dir, question, {"torch": _time(plain, trial.sample())})
    if "openvino" not in timings and timings["torch"] * trial.work() >= WORTH_SECONDS:
        timings = _note(cache_dir, question, {**timings, "openvino": _time(compiled, trial.sample())})
    return timings.get("openvino", math.inf) < timings["torch"]


def _question(plain: TorchEngine, graph: str) -> str:
    """Everything that the timings depend on, digested."""
    where = cpu_name(), torch.get_num_threads(), torch.__version__, openvino_name()
    what = graph, plain.preprocess.input_shape, precision_name(plain.fabric)
    return blake3(repr((where, what)).encode()).hexdigest(length=16)


def _time(engine: TorchEngine | OpenVinoEngine, pixels: Tensor) -> float:
    try:
        return seconds_per_picture(lambda count: list(engine.run([pixels[:count]])), len(pixels), engine.fabric)
    except Unsuited:
        return math.inf


def _note(cache_dir: Path, question: str, timings: Timings) -> Timings:
    """Write timings down, where the folder can be written."""
    with contextlib.suppress(OSError):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{TIMINGS_FILE}.lock"):
            write_text(cache_dir / TIMINGS_FILE, json.dumps({**_read(cache_dir), question: timings}, indent=1))
    return timings


def _read(cache_dir: Path) -> dict[str, Timings]:
    """The timings made before; a damaged file is as good as none."""
    try:
        known = json.loads((cache_dir / TIMINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
