"""The bundle: one safetensors file with everything needed to use a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from frostline.data.preprocess import Preprocess
from frostline.data.views import TEST_VIEWS
from frostline.errors import BundleError, WeightsError
from frostline.network.build import Network, NetworkSpec, build
from frostline.network.weights import fill_exactly
from frostline.sealed import MODEL_FORMAT, read_sealed, write_sealed
from frostline.version import __version__


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
    temperature: float
    """What those are divided by before they become probabilities."""


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
    temperature = header["facts"].get("temperature", 1.0)
    return Model(network, tuple(header["classes"]), TEST_VIEWS[views], temperature)
