"""The bundle: one safetensors file with everything needed to use a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from frostline.config import make_config
from frostline.data.classnames import check_class_names
from frostline.data.preprocess import Preprocess
from frostline.data.views import TEST_VIEWS
from frostline.errors import BundleError, WeightsError
from frostline.network.build import SPEC_SETTINGS, Network, NetworkSpec, build, build_weightless
from frostline.network.pickles import reason
from frostline.network.weights import check_exactly
from frostline.sealed import MODEL_FORMAT, read_sealed, write_sealed
from frostline.version import __version__

MOST_HEADER = 1 << 23
MOST_CLASSES = 100_000
_ADVICE = "take another copy, or train again"


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


class _Strict(BaseModel):
    """Values of exactly the types that are written; every number is finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Network(_Strict):
    """A `NetworkSpec`; its other options have the ranges of the settings of a training."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200)
    classes: int = Field(ge=2, le=MOST_CLASSES)
    taps: list[str] = Field([], max_length=64)


class _Preprocess(_Strict):
    """A `Preprocess`."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=8, le=4096)
    resize: int = Field(ge=1, le=1_000_000)
    squash: bool = False
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"]
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]


class _Facts(_Strict):
    """Those of a bundle's facts that change what its model says."""

    test_views: str = "none"
    temperature: float = Field(1.0, gt=0)


class Header(_Strict):
    """What must stand in a bundle beside its tensors."""

    network: _Network
    classes: list[str]
    preprocess: _Preprocess
    facts: _Facts


def load_model(path: Path) -> Model:
    """Build the network of a bundle, with its weights, once all that stands in it has proved to be sound.

    Raises:
        BundleError: damaged, foreign, of another format, or of a network that cannot be built here. Nothing that it
            promises is allocated before its tensors have been found to agree.
    """
    facts, tensors = read_sealed(path, kind="model", newest=MODEL_FORMAT, most_header=MOST_HEADER)
    header = check_header(facts, path)
    network = _build(header, tensors, path)
    preprocess = Preprocess.from_json(header.preprocess.model_dump())
    views = TEST_VIEWS[header.facts.test_views]
    return Model(replace(network, preprocess=preprocess), tuple(header.classes), views, header.facts.temperature)


def check_header(facts: Mapping[str, Any], path: Path) -> Header:
    """Check that a bundle's header has what it must have, of the right types and in sane ranges.

    Args:
        facts: the header.
        path: of the bundle, for the message.

    Raises:
        BundleError: names the first thing that is not sound.
    """
    try:
        header = Header.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path} is not sound: {place}: {first['msg']}; {_ADVICE}") from None
    fault = check_class_names(header.classes) or _contradiction(header)
    if fault:
        raise BundleError(f"{path} is not sound: {fault}; {_ADVICE}")
    views = header.facts.test_views
    if views not in TEST_VIEWS:
        raise BundleError(f"{path} was measured on views {views!r}, which this version does not know; update frostline")
    return header


def _contradiction(header: Header) -> str:
    """Say in a phrase which parts of a header contradict each other; "" where none do."""
    classes, names = header.network.classes, len(header.classes)
    if classes != names:
        return f"its network has {classes} classes, and {names} have a name"
    means, deviations = len(header.preprocess.mean), len(header.preprocess.std)
    if means != deviations or means not in {1, 3}:
        return f"its preprocessing has {means} means and {deviations} deviations; 1 or 3 of each are allowed"
    return ""


def _build(header: Header, tensors: Mapping[str, Tensor], path: Path) -> Network:
    """Build a bundle's network and fill it, once one without memory has proved to have the same tensors."""
    try:
        spec = _spec(header.network.model_dump())
        weightless = build_weightless(spec)
        check_exactly(weightless, tensors, str(path))
        channels = weightless.preprocess.channels
        if len(header.preprocess.mean) != channels:
            raise WeightsError(f"{path} is not sound: its preprocessing is not for {channels} channels; {_ADVICE}")
        network = build(spec)
    except WeightsError as error:
        raise BundleError(str(error)) from None
    except Exception as error:  # any network's own code runs here, and anything may come out of it
        raise BundleError(
            f"the network in {path} cannot be built here: {reason(error)}; update frostline and timm, or give another "
            "file"
        ) from None
    network.module.load_state_dict(dict(tensors))
    return network


def _spec(values: Mapping[str, Any]) -> NetworkSpec:
    """Undo `NetworkSpec.to_json`; every option must be one that a training could have been given."""
    spec = NetworkSpec.from_json(values)
    settings = {name: getattr(spec, name) for name in SPEC_SETTINGS}
    return replace(NetworkSpec.from_config(make_config(data="-", **settings), spec.classes), taps=spec.taps)
