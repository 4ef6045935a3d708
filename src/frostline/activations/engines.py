"""Engines: run a frozen prefix, or a whole network, over batches of pixels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from frostline.activations.store import Values
from frostline.data.preprocess import Preprocess
from frostline.hardware import Computer
from frostline.network.splitting import apply_prefix


class Engine(Protocol):
    """Computes what crosses a cut."""

    @property
    def kind(self) -> str:
        """As `--engine` calls it: torch or openvino."""

    @property
    def name(self) -> str:
        """Kind and version: engines of different names may round differently, so their rows are kept apart."""

    @property
    def shares_cores(self) -> bool:
        """Whether it loses nothing where pictures are decoded beside it."""

    def run(self, batches: Iterable[Tensor]) -> Iterator[Values]:
        """Give the values (batch, ...) of each batch of uint8 pixels (batch, channels, height, width), in order."""


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """The prefix as it is, on the run's device and in its precision; any network, any device."""

    prefix: nn.Module
    """From normalised pictures to a tuple of values; a whole network gives its logits."""
    preprocess: Preprocess
    fabric: Computer

    @property
    def kind(self) -> str:
        """Torch."""
        return "torch"

    @property
    def name(self) -> str:
        """Torch with its version."""
        return f"torch {torch.__version__}"

    @property
    def shares_cores(self) -> bool:
        """Not on the CPU, where every layer waits for the slowest core."""
        return self.fabric.device.type != "cpu"

    def run(self, batches: Iterable[Tensor]) -> Iterator[Values]:
        """Give each batch's values, on the device."""
        for pixels in batches:
            yield apply_prefix(self.prefix, pixels, self.preprocess, self.fabric)
