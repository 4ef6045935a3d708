"""Build a network by name, with a new head for the user's classes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from frostline.config import TrainConfig
from frostline.data.preprocess import Preprocess
from frostline.errors import ConfigError, ModelError
from frostline.network import heads
from frostline.network.cuts import Traced, trace_network
from frostline.network.init import initialise
from frostline.network.resnet import LAYERS, resnet
from frostline.network.smallnet import NAME as SMALLNET
from frostline.network.smallnet import SIDE, SMALLEST, SmallNet
from frostline.network.vgg import NAMES, vgg

LITE0 = "efficientnet_lite0"
TIMM = "timm:"
OWN = (*NAMES, *LAYERS, SMALLNET)
SPEC_SETTINGS = ("model", "head", "image_size", "channels", "width", "dropout", "resize", "mean", "std")
"""Of a training, those that concern the network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec:
    """All that is needed to build a network again; it travels in the bundle as JSON."""

    model: str
    classes: int
    head: str = "linear"
    image_size: int | None = None
    channels: int = 3
    width: float = 1.0
    dropout: float = 0.5
    taps: tuple[str, ...] = ()
    resize: int | Literal["squash"] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @classmethod
    def from_config(cls, config: TrainConfig, classes: int) -> "NetworkSpec":
        """Take what concerns the network from the settings."""
        return cls(classes=classes, **{name: getattr(config, name) for name in SPEC_SETTINGS})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "NetworkSpec":
        """Undo `to_json`."""
        tuples = {name: tuple(values[name]) for name in ("taps", "mean", "std") if values.get(name) is not None}
        return cls(**{**values, **tuples})

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Network:
    """A built network: `module` maps (batch, channels, height, width) to logits (batch, classes)."""

    spec: NetworkSpec
    module: nn.Module
    head: str
    preprocess: Preprocess
    aliases: Mapping[str, str] = field(default_factory=dict)
    old_head: str = ""
    """Top-level module, such as `classifier`, whose entries in a weights file may be of no use here."""

    def trace(self, *, for_training: bool = True) -> Traced:
        """Trace it and find its cuts; a depth head becomes part of the graph.

        Args:
            for_training: as for `trace_network`.

        Raises:
            ModelError: it cannot be traced.
        """
        tapped = heads.DEPTH_HEAD if self.spec.taps else ""
        return trace_network(
            self.module,
            self.preprocess.input_shape,
            head=self.head,
            aliases=self.aliases,
            taps=self.spec.taps,
            tapped_head=tapped,
            for_training=for_training,
        )


def build(spec: NetworkSpec, *, init: str = "default", seed: int = 0) -> Network:
    """Build the network with random weights, a function of `seed` alone.

    Raises:
        ModelError: no such network, or an option that it does not have.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _builder(spec.model)(spec)
        network = _with_head(network)
    if init != "default":
        initialise(network.module, init, seed=seed)
    return network


def build_weightless(spec: NetworkSpec) -> Network:
    """Build the network without memory for its weights: names, shapes and types are there, numbers are not.

    Raises:
        ModelError: as for `build`.
    """
    with _Weightless():
        return build(spec)


class _Weightless(TorchFunctionMode):
    """Makes tensors that layers are about to fill on the meta device.

    All others are made as ever: some networks work their own shape out with small ones, which meta tensors cannot do.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty:
            options["device"] = "meta"
        return func(*args, **options)


def model_names() -> list[str]:
    """Names that can be built, timm's (`timm:NAME`) left out."""
    from torchvision import models

    return sorted({LITE0, *OWN, *models.list_models(module=models)})


def _builder(name: str) -> Callable[[NetworkSpec], Network]:
    if name in OWN:
        return _build_own
    if name == LITE0 or name.startswith(TIMM):
        return _build_timm
    return _build_torchvision


def _build_own(spec: NetworkSpec) -> Network:
    usual = Preprocess(size=SIDE, resize=SIDE) if spec.model == SMALLNET else Preprocess()
    preprocess = _sized(usual if spec.channels == 3 else usual.in_grey(), spec)
    options: dict[str, Any] = {"num_classes": spec.classes, "width": spec.width, "in_channels": spec.channels}
    if spec.model in LAYERS:
        _refuse_small_head(spec)
        return Network(spec, resnet(spec.model, **options), "fc", preprocess)
    smallest = SMALLEST if spec.model == SMALLNET else 32
    if preprocess.size < smallest:
        raise ModelError(f"{spec.model} needs at least {smallest} pixels; use --image-size {smallest}")
    if spec.model == SMALLNET:
        _refuse_small_head(spec)
        return Network(spec, SmallNet(**options), "fc", preprocess)
    classifier = spec.head if spec.head in {"official", "small"} else "linear"
    module = vgg(spec.model, **options, classifier=classifier, dropout=spec.dropout)
    head = heads.find_head(module, spec.classes)
    return Network(spec, module, head, preprocess, module.block_starts())


def _build_torchvision(spec: NetworkSpec) -> Network:
    from torchvision import models

    if spec.model not in models.list_models(module=models):
        raise ModelError(_no_such_model(spec.model))
    _refuse_small_head(spec)
    _refuse_own_options(spec, channels=True)
    options: dict[str, Any] = {}
    if spec.model in {"googlenet", "inception_v3"}:
        options = {"aux_logits": False, "init_weights": False}
    if spec.model.startswith("vit_") and spec.image_size:
        options["image_size"] = spec.image_size
    module = models.get_model(spec.model, weights=None, num_classes=spec.classes, **options)
    preset = models.get_model_weights(spec.model).DEFAULT.transforms()
    preprocess = Preprocess(
        size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    head = heads.find_head(module, spec.classes)
    if spec.head != "official":
        head = heads.drop_hidden_layers(module, head, spec.classes)
    return Network(spec, module, head, _sized(preprocess, spec))


def _build_timm(spec: NetworkSpec) -> Network:
    import timm
    from timm.data import resolve_model_data_config

    _refuse_small_head(spec)
    _refuse_own_options(spec)
    name = "tf_efficientnet_lite0" if spec.model == LITE0 else spec.model.removeprefix(TIMM)
    if not timm.is_model(name):
        raise ModelError(_no_such_model(spec.model, timm.list_models()))
    options: dict[str, Any] = {"num_classes": spec.classes, "in_chans": spec.channels}
    try:
        module = timm.create_model(name, img_size=spec.image_size, **options)
    except TypeError:  # convolutional networks take any size and have no such argument
        module = timm.create_model(name, **options)
    config = resolve_model_data_config(module)
    size = config["input_size"][-1]
    preprocess = Preprocess(
        size=size,
        resize=round(size / config["crop_pct"]),
        interpolation=_interpolation(config["interpolation"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    preprocess = preprocess if spec.channels == 3 or preprocess.channels == 1 else preprocess.in_grey()
    return Network(spec, module, heads.find_head(module, spec.classes), _sized(preprocess, spec))


def _with_head(network: Network) -> Network:
    spec, module = network.spec, network.module
    network = replace(network, old_head=network.head.partition(".")[0])
    if spec.head not in {"linear", "multi", "mlp"}:
        return network
    module.set_submodule(network.head, nn.Identity())
    traced = trace_network(module, network.preprocess.input_shape, for_training=not spec.taps)
    taps = spec.taps or heads.choose_taps(traced)[0 if spec.head == "multi" else -1 :]
    widths = heads.tap_widths(traced, taps, network.preprocess.input_shape)
    head: nn.Module = heads.DepthHead(widths, spec.classes)
    if spec.head == "mlp":
        head = heads.MlpHead(widths[-1], spec.classes, spec.dropout)
    module.add_module(heads.DEPTH_HEAD, head)
    return replace(network, spec=replace(spec, taps=taps), head=heads.DEPTH_HEAD)


def _sized(preprocess: Preprocess, spec: NetworkSpec) -> Preprocess:
    sized = preprocess.at_size(spec.image_size) if spec.image_size else preprocess
    if isinstance(spec.resize, int) and spec.resize < sized.size:
        raise ConfigError(
            f"--resize {spec.resize} is less than the image size of {sized.size}; raise it, or use squash"
        )
    return sized.adjusted(spec.resize, spec.mean, spec.std)


def _interpolation(name: str) -> Any:
    """Take timm's name where we have it; timm draws `random` interpolation for training only."""
    allowed = get_args(Preprocess.__annotations__["interpolation"])
    return name if name in allowed else "bicubic"


def _refuse_small_head(spec: NetworkSpec) -> None:
    if spec.head == "small":
        raise ConfigError(f"--head small belongs to VGG; {spec.model} takes linear, mlp, multi or official")


def _refuse_own_options(spec: NetworkSpec, *, channels: bool = False) -> None:
    if spec.width != 1:
        raise ConfigError(f"--width {spec.width} works with frostline's own networks only: {', '.join(OWN)}")
    if channels and spec.channels != 3:
        raise ConfigError(
            f"{spec.model} takes colour input only; use --channels 3, a timm network, or one of {', '.join(OWN)}"
        )


def _no_such_model(name: str, known: list[str] | None = None) -> str:
    import difflib

    close = difflib.get_close_matches(name.removeprefix(TIMM), known or model_names(), n=3)
    prefix = TIMM if known else ""
    hint = f"did you mean {', '.join(prefix + match for match in close)}? " if close else ""
    return (
        f"no network is called {name!r}: {hint}Allowed are {LITE0}, {', '.join(OWN)}, "
        "torchvision's classifiers, and timm:NAME"
    )
