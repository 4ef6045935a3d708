"""Which engine computes a frozen prefix: torch, or OpenVINO where it is installed and faster here."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from blake3 import blake3
from filelock import FileLock
from lightning_fabric import Fabric
from torch import Tensor

from frostline.activations.engines import Engine, TorchEngine
from frostline.activations.key import graph_digest
from frostline.activations.openvino_engine import OpenVinoEngine, Unsuited, is_installed, openvino_name
from frostline.data.preprocess import Preprocess
from frostline.errors import CacheError, ConfigError
from frostline.files import write_text
from frostline.hardware import cpu_name, precision_name
from frostline.network.splitting import Split
from frostline.plan.price import seconds_per_picture
from frostline.sealed import digest_tensors

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
    fabric: Fabric
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
            self.made[what] = self._choose(split, sample, work, kind or self.wanted)
        return self.made[what]

    def _choose(self, split: Split, sample: Callable[[], Tensor], work: Callable[[], int], wanted: str) -> Engine:
        plain = TorchEngine(split.prefix, self.preprocess, self.fabric)
        if wanted == "torch" or split.is_whole:
            return plain
        if hindrance := self._hindrance():
            if wanted == "openvino":
                raise ConfigError(f"engine openvino: {hindrance}; use --engine auto")
            return plain
        compiled = OpenVinoEngine(plain, precision_name(self.fabric))
        if wanted == "openvino" or self._is_faster(compiled, plain, sample, work):
            return compiled
        return plain

    def _hindrance(self) -> str:
        """Why OpenVINO cannot be used; empty where it can."""
        if self.fabric.device.type != "cpu" or self.fabric.world_size > 1:
            return "it computes on the CPU, in one process"
        return "" if is_installed() else "it is not installed (pip install 'frostline[openvino]')"

    def _is_faster(
        self, compiled: OpenVinoEngine, plain: TorchEngine, sample: Callable[[], Tensor], work: Callable[[], int]
    ) -> bool:
        try:
            question = self._question(graph_digest(plain.prefix))
        except CacheError:  # a graph that cannot be digested cannot be remembered either
            return False
        timings = _read(self.cache_dir).get(question, {})
        if "torch" not in timings:
            timings = self._note(question, {"torch": self._time(plain, sample())})
        if "openvino" not in timings and timings["torch"] * work() >= WORTH_SECONDS:
            timings = self._note(question, {**timings, "openvino": self._time(compiled, sample())})
        return timings.get("openvino", math.inf) < timings["torch"]

    def _time(self, engine: Engine, pixels: Tensor) -> float:
        try:
            return seconds_per_picture(lambda count: list(engine.run([pixels[:count]])), len(pixels), self.fabric)
        except Unsuited:
            return math.inf

    def _note(self, question: str, timings: Timings) -> Timings:
        with FileLock(self.cache_dir / f"{TIMINGS_FILE}.lock"):
            known = {**_read(self.cache_dir), question: timings}
            write_text(self.cache_dir / TIMINGS_FILE, json.dumps(known, indent=1))
        return timings

    def _question(self, graph: str) -> str:
        """Everything that the timings depend on, digested."""
        where = cpu_name(), torch.get_num_threads(), torch.__version__, openvino_name()
        what = graph, self.preprocess.input_shape, precision_name(self.fabric)
        return blake3(repr((where, what)).encode()).hexdigest(length=16)


def _read(cache_dir: Path) -> dict[str, Timings]:
    """The timings made before; a damaged file is as good as none."""
    try:
        known = json.loads((cache_dir / TIMINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
