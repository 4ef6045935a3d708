"""Feeds: give a suffix its input batch by batch, from stored rows or from pixels; the suffix cannot tell which."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from frostline.activations.compute import Pictures
from frostline.activations.engines import Engine
from frostline.activations.key import row_id
from frostline.activations.store import Store, Values
from frostline.data.loader import Request
from frostline.errors import CacheError
from frostline.hardware import Computer
from frostline.network.convolutions import FastConvolutions


class Feed(Protocol):
    """Gives what crosses the cut for views of pictures."""

    @property
    def is_stored(self) -> bool:
        """Whether frozen layers are read, not computed."""

    def batches(self, requests: Sequence[Sequence[Request]]) -> Iterator[Values]:
        """Give each batch's values, on the device and in order."""


@dataclass(frozen=True, slots=True)
class StoredFeed:
    """Reads rows that the pass computed."""

    store: Store
    fabric: Computer
    is_stored: bool = True

    def batches(self, requests: Sequence[Sequence[Request]]) -> Iterator[Values]:
        """Give each batch's values."""
        for batch in requests:
            values = self.store.read([row_id(request) for request in batch])
            yield tuple(_arranged(value.to(self.fabric.device, non_blocking=True)) for value in values)


@dataclass(slots=True)
class SparedFeed:
    """Reads stored rows for as long as the disk gives them; from the first that it does not, computes them."""

    stored: StoredFeed
    direct: "DirectFeed"
    tell: Callable[[CacheError], None]
    """Called once, with what the disk said."""
    is_stored: bool = True

    def batches(self, requests: Sequence[Sequence[Request]]) -> Iterator[Values]:
        """Give each batch's values."""
        given = 0
        if self.is_stored:
            try:
                for values in self.stored.batches(requests):
                    given += 1
                    yield values
                return
            except CacheError as error:
                self.is_stored = False
                self.tell(error)
        yield from self.direct.batches(requests[given:])


@dataclass(frozen=True, slots=True)
class DirectFeed:
    """Computes the frozen layers anew for every batch."""

    engine: Engine
    pictures: Pictures
    fabric: Computer
    is_stored: bool = False

    def batches(self, requests: Sequence[Sequence[Request]]) -> Iterator[Values]:
        """Give each batch's values; on the CPU, all cores decode it, then compute it, then train on it."""
        beside = self.fabric.device.type != "cpu"
        batches = self.pictures.load(requests, keep=True, beside=beside)
        computed = self.engine.run(batches) if beside else (next(self.engine.run([batch])) for batch in batches)
        for values in computed:
            yield tuple(_arranged(value.to(self.fabric.device)) for value in values)


@dataclass(frozen=True, slots=True)
class ContinuedFeed:
    """Goes on from what another feed gives, up to a higher cut."""

    below: Feed
    layers: nn.Module
    """Those between the two cuts."""
    fabric: Computer

    @property
    def is_stored(self) -> bool:
        """Whether the layers below are read, not computed."""
        return self.below.is_stored

    def batches(self, requests: Sequence[Sequence[Request]]) -> Iterator[Values]:
        """Give each batch's values."""
        self.layers.eval()
        for values in self.below.batches(requests):
            with torch.no_grad(), self.fabric.autocast(), FastConvolutions():
                above: Values = self.layers(*values)
            yield above


def _arranged(value: Tensor) -> Tensor:
    """Lay out maps as convolutions compute fastest; a copy, or strides of 1x1 maps would tell where they came from."""
    return value.clone(memory_format=torch.channels_last) if value.dim() == 4 else value
