"""The bundle: one safetensors file with everything needed to use a model, and the predictor it loads into."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frostline.activations.compute import Pictures
from frostline.data.changes import reflected
from frostline.data.loader import Finding, Request, default_workers, examine
from frostline.data.pictures import FileSource, Picture, Source, natural_key
from frostline.data.preprocess import Preprocess
from frostline.data.sources import PICTURE_SUFFIXES
from frostline.data.views import BASE, CENTRED, TEST_VIEWS
from frostline.errors import BundleError, DataError, WeightsError
from frostline.files import RunFolder
from frostline.network.build import Network, NetworkSpec, build
from frostline.network.weights import fill_exactly
from frostline.sealed import MODEL_FORMAT, read_sealed, write_sealed
from frostline.version import __version__

BATCH = 32
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one picture; `error` tells why it says nothing."""

    path: str
    top: tuple[tuple[str, float], ...] = ()
    """Classes with their probabilities, most probable first."""
    error: str = ""


def write_bundle(
    path: Path, network: Network, state: Mapping[str, Tensor], classes: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Write a bundle.

    Args:
        path: of the new file.
        network: how the model is built and what its input is.
        state: all parameters and buffers.
        classes: names, in the order of the logits.
        facts: how it was made and how good it is; plain values.
    """
    header = {
        "frostline": __version__,
        "network": network.spec.to_json(),
        "classes": list(classes),
        "preprocess": asdict(network.preprocess),
        "facts": dict(facts),
    }
    write_sealed(path, state, header, kind="model", version=MODEL_FORMAT)


@dataclass(frozen=True, slots=True)
class Model:
    """What a bundle holds."""

    network: Network
    classes: tuple[str, ...]
    test_views: tuple[str, ...]
    """Views of a picture over which logits are averaged: names out of `CENTRED`."""


def load_model(path: Path) -> Model:
    """Build the network of a bundle, with its weights.

    Raises:
        BundleError: damaged, foreign, or of another format.
    """
    header, tensors = read_sealed(path, kind="model", newest=MODEL_FORMAT)
    network = build(NetworkSpec.from_json(header["network"]))
    try:
        fill_exactly(network, tensors, str(path))
    except WeightsError as error:
        raise BundleError(str(error)) from None
    network = replace(network, preprocess=Preprocess.from_json(header["preprocess"]))
    views = header["facts"].get("test_views", "none")
    if views not in TEST_VIEWS:
        raise BundleError(f"{path} was measured on views {views!r}, which this version does not know; update frostline")
    return Model(network, tuple(header["classes"]), TEST_VIEWS[views])


class Predictor:
    """A trained model, ready to name what is in pictures.

    Args:
        path: a bundle, or a run folder.
        device: where to compute.

    Raises:
        BundleError: there is no sound model at `path`.
    """

    def __init__(self, path: str | Path, *, device: str = "cpu") -> None:
        file = RunFolder(Path(path)).best if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise BundleError(f"no model at {path}; give a run folder that has finished, or a bundle")
        model = load_model(file)
        self.classes = model.classes
        self.preprocess = model.network.preprocess
        self._views = model.test_views
        self._device = torch.device(device)
        self._forward = _forward(model.network).to(self._device)

    def predict(
        self, paths: str | Path | Sequence[str | Path], *, topk: int = 5, workers: int | None = None
    ) -> list[Prediction]:
        """Name what is in pictures; a damaged one gets an `error` instead of classes.

        Args:
            paths: files, or folders to search for pictures.
            topk: how many classes to give.
            workers: decoding processes.

        Raises:
            DataError: a path does not exist, or a folder holds no picture.
        """
        listed = [paths] if isinstance(paths, str | Path) else list(paths)
        files = [file for path in listed for file in _pictures_at(Path(path))]
        source = FileSource("predict", [Picture(str(file), "") for file in files], Path.cwd())
        processes = default_workers() if workers is None else workers
        findings = self.examine(source, processes)
        predictions = [Prediction(str(file), error=found.damage) for file, found in zip(files, findings, strict=True)]
        good = [Request(i, found.digest, BASE) for i, found in enumerate(findings) if not found.damage]
        pictures = Pictures(source, self.preprocess, MAX_PIXELS, processes)
        for request, row in zip(good, self.probabilities(pictures, good), strict=True):
            predictions[request.position] = Prediction(str(files[request.position]), self._top(row, topk))
        return predictions

    def logits(self, pixels: Tensor) -> Tensor:
        """Give float32 logits (batch, classes) of uint8 pixels (batch, channels, size, size)."""
        pictures = self.preprocess.normalise(pixels.to(self._device))
        with torch.no_grad():
            return torch.stack([self._forward(seen(pictures, view)).float() for view in self._views]).mean(dim=0)

    def examine(self, source: Source, workers: int) -> list[Finding]:
        """Digest every picture of a source, and find which are damaged."""
        limits = {"channels": self.preprocess.channels, "max_pixels": MAX_PIXELS}
        return list(chain.from_iterable(examine(source, **limits, workers=workers, known_good=set())))

    def probabilities(self, pictures: Pictures, requests: Sequence[Request]) -> Iterator[Tensor]:
        """Give the probabilities (classes,) of each requested picture in turn, float32 on the CPU."""
        batches = [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]
        for pixels in pictures.load(batches):
            yield from self.logits(pixels).softmax(dim=1).cpu()

    def _top(self, row: Tensor, topk: int) -> tuple[tuple[str, float], ...]:
        values, places = row.topk(min(topk, len(self.classes)))
        return tuple((self.classes[place], float(value)) for value, place in zip(values, places.tolist(), strict=True))


def seen(pictures: Tensor, view: str) -> Tensor:
    """Give a view, out of `CENTRED`, of pictures (batch, channels, height, width) that are framed already."""
    mirrored, shift = CENTRED[view]
    pictures = pictures.flip(-1) if mirrored else pictures
    for axis in (2, 3) if shift else ():
        places = torch.from_numpy(reflected(pictures.shape[axis], -shift)).to(pictures.device)
        pictures = pictures.index_select(axis, places)
    return pictures


def _forward(network: Network) -> torch.nn.Module:
    """The network as one module from pixels to logits, in evaluation mode."""
    if not network.spec.taps:
        return network.module.eval()
    return torch.fx.GraphModule(network.module, network.trace().evaluating.graph).eval()


def _pictures_at(path: Path) -> list[Path]:
    if path.is_dir():
        found = [
            file for file in path.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(file, path)
        ]
        if not found:
            raise DataError(f"no picture in {path}; looked for {', '.join(PICTURE_SUFFIXES)}")
        return sorted(found, key=lambda file: natural_key(str(file)))
    if not path.is_file():
        raise DataError(f"no file or folder {path}; give pictures, or folders of pictures")
    return [path]


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)
