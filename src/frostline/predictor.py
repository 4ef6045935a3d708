"""The predictor: a trained model that names what is in pictures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx, nn

from frostline.activations.choosing import Trial, choose_engine
from frostline.activations.engines import Engine, TorchEngine
from frostline.activations.key import graph_digest
from frostline.bundle import load_model
from frostline.data.changes import reflected
from frostline.data.loader import default_workers, framed, read
from frostline.data.pictures import Source
from frostline.data.targets import Targets
from frostline.data.views import CENTRED
from frostline.defaults import MAX_PIXELS, THRESHOLD, TOPK
from frostline.errors import BundleError
from frostline.evaluation.heatmaps import heat_maps
from frostline.files import RunFolder, default_cache_dir
from frostline.hardware import Single, precision_name, put_on
from frostline.network.build import Network
from frostline.network.cuts import Traced

WORTH_ENGINE = 100
"""Fewer pictures than this are left to torch, untimed."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one picture; `error` tells why it says nothing."""

    path: str
    top: tuple[tuple[str, float], ...] = ()
    """Classes with their probabilities, most probable first."""
    error: str = ""
    unsure: bool = False
    """Whether the first probability is below the threshold that was asked for."""


class Predictor:
    """A trained model, ready to name what is in pictures.

    Args:
        path: a bundle, or a run folder.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: fp32, bf16, or auto: what a training on this device would take.
        engine: auto, torch or openvino; auto tries OpenVINO where there are pictures enough.

    Raises:
        BundleError: there is no sound model at `path`.
        ConfigError: no such device here.
    """

    def __init__(
        self, path: str | Path, *, device: str = "auto", precision: str = "auto", engine: str = "auto"
    ) -> None:
        file = RunFolder(Path(path)).best if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise BundleError(f"no model at {path}; give a run folder that has finished, or a bundle")
        model = load_model(file)
        self.classes = model.classes
        self.preprocess = model.network.preprocess
        self.views, self.temperature = model.test_views, model.temperature
        self._network = model.network
        self._traced: Traced | None = None
        self._wanted = engine
        self._settled: Engine | None = None
        computer = Single(device, precision)
        logits = _Logits(model.network)
        put_on(logits, computer.device)
        self.module = logits.network
        self._plain = TorchEngine(logits.eval(), self.preprocess, computer)

    @property
    def network_name(self) -> str:
        """As `--model` calls it."""
        return self._network.spec.model

    @property
    def precision(self) -> str:
        """It computes in fp32 or bf16."""
        return precision_name(self._plain.fabric)

    def settle(self, pixels: Tensor, count: int) -> str:
        """Choose one engine for all pictures to come, so that none of them waits for it.

        Args:
            pixels: uint8 (batch, channels, size, size) to try it on.
            count: pictures to expect.

        Returns:
            The engine with its version.

        Raises:
            ConfigError: as for `choose_engine`.
            CacheError: the engine that was asked for cannot compute this network.
        """
        self._settled = self._engine(pixels, count)
        next(self._logits([pixels], self._settled))
        return self._settled.name

    def predict(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        topk: int = TOPK,
        threshold: float = THRESHOLD,
        workers: int | None = None,
    ) -> list[Prediction]:
        """Name what is in pictures; a damaged one gets an `error` instead of classes.

        Args:
            paths: files, folders to search for pictures, patterns, lists, addresses: see `data.targets`.
            topk: how many classes to give.
            threshold: of the first probability, below which the answer is `unsure`.
            workers: decoding processes.

        Raises:
            DataError: a path does not exist, or a folder holds no picture.
        """
        words = [paths] if isinstance(paths, str | Path) else paths
        targets = Targets.find(map(str, words))
        return list(self.predictions(targets, topk=topk, threshold=threshold, workers=workers))

    def predictions(
        self, source: Source, *, topk: int = TOPK, threshold: float = THRESHOLD, workers: int | None = None
    ) -> Iterator[Prediction]:
        """Name what is in the pictures of a source, in its order, while they are read; arguments as for `predict`."""
        damages: list[str] = []
        done = 0
        batches = self.sound(source, damages, workers=workers)
        for row in chain.from_iterable(self.probabilities(batches, len(source.pictures))):
            while damages[done]:
                yield Prediction(source.pictures[done].path, error=damages[done])
                done += 1
            top = self.top(row, topk)
            yield Prediction(source.pictures[done].path, top, unsure=top[0][1] < threshold)
            done += 1
        for picture, damage in zip(source.pictures[done:], damages[done:], strict=True):
            yield Prediction(picture.path, error=damage)

    def frame(self, content: bytes | np.ndarray, *, max_pixels: int = MAX_PIXELS) -> Tensor:
        """Give the pixels that the network sees of one picture, encoded or as pixels: uint8 (channels, size, size).

        Raises:
            RefusedError: it is of another format, or has more pixels than are allowed.
            DecodeError: it is damaged.
        """
        return torch.from_numpy(framed(content, self.preprocess, max_pixels=max_pixels).copy())

    def heat_maps(self, pixels: Tensor, classes: Sequence[int]) -> Tensor | None:
        """Give how much each place of a picture spoke for a class (Grad-CAM, arXiv 1610.02391).

        Args:
            pixels: uint8 (batch, channels, size, size).
            classes: one for each picture, by its number in `classes`.

        Returns:
            float32 (batch, height, width) from 0 to 1, coarser than the pictures; None where the network has no maps.
        """
        if self._traced is None:
            self._traced = self._network.trace(for_training=False)
        return heat_maps(self._network, self._traced, pixels, classes)

    def logits(self, pixels: Tensor) -> Tensor:
        """Give float32 logits (batch, classes), on the CPU, of uint8 pixels (batch, channels, size, size), by torch."""
        return next(self._logits([pixels], self._plain))

    def sound(
        self,
        source: Source,
        damages: list[str],
        *,
        positions: Sequence[int] | None = None,
        workers: int | None = None,
    ) -> Iterator[Tensor]:
        """Give a source's sound pictures as batches of pixels (batch, channels, size, size).

        Args:
            source: of the pictures.
            damages: filled meanwhile with what is wrong with each picture ("": nothing), in order.
            positions: of the pictures wanted; None are all.
            workers: decoding processes; None is one per core.
        """
        processes = default_workers() if workers is None else workers
        batches = read(source, self.preprocess, max_pixels=MAX_PIXELS, workers=processes, positions=positions)
        for found, pixels in batches:
            damages += found
            if len(pixels):
                yield pixels

    def probabilities(self, batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
        """Give the probabilities of pictures, by the engine that suits their number.

        Args:
            batches: of uint8 pixels (batch, channels, size, size).
            count: pictures to expect.

        Returns:
            float32 (batch, classes) on the CPU, for each batch.
        """
        rest = iter(batches)
        first = next(rest, None)
        if first is None:
            return
        engine = self._engine(first, count)
        for logits in self._logits(chain([first], rest), engine):
            yield (logits / self.temperature).softmax(dim=1)

    def _logits(self, batches: Iterable[Tensor], engine: Engine) -> Iterator[Tensor]:
        """Average the logits of each picture's views."""
        values = engine.run(seen(pixels, view) for pixels in batches for view in self.views)
        while logits := [value.float() for (value,) in islice(values, len(self.views))]:
            yield torch.stack(logits).mean(dim=0).cpu()

    def _engine(self, pixels: Tensor, count: int) -> Engine:
        if self._settled is not None:
            return self._settled
        views = count * len(self.views)
        if self._wanted == "auto" and views < WORTH_ENGINE:
            return self._plain
        trial = Trial(lambda: graph_digest(_as_graph(self._network)), lambda: pixels, lambda: views)
        return choose_engine(self._plain, self._wanted, trial, default_cache_dir())

    def top(self, row: Tensor, topk: int) -> tuple[tuple[str, float], ...]:
        """Name the most probable classes of one picture, out of its probabilities (classes,)."""
        values, places = row.topk(min(topk, len(self.classes)))
        return tuple((self.classes[place], float(value)) for value, place in zip(values, places.tolist(), strict=True))


class _Logits(nn.Module):
    """The network from pictures to (logits,)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        reads_depths = bool(network.spec.taps)  # such a head gets its values in a graph alone
        self.network = _as_graph(network) if reads_depths else network.module

    def forward(self, pictures: Tensor) -> tuple[Tensor]:
        return (self.network(pictures),)


def _as_graph(network: Network) -> fx.GraphModule:
    """Write the network down as it evaluates."""
    return fx.GraphModule(network.module, network.trace(for_training=False).evaluating.graph)


def seen(pictures: Tensor, view: str) -> Tensor:
    """Give a view, out of `CENTRED`, of pictures (batch, channels, height, width) that are framed already."""
    mirrored, shift = CENTRED[view]
    pictures = pictures.flip(-1) if mirrored else pictures
    for axis in (2, 3) if shift else ():
        places = torch.from_numpy(reflected(pictures.shape[axis], -shift)).to(pictures.device)
        pictures = pictures.index_select(axis, places)
    return pictures
