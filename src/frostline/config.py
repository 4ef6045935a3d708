"""Every setting of a training, defined once: YAML keys and command-line flags both derive from `TrainConfig`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from frostline.defaults import MAX_PIXELS
from frostline.errors import ConfigError

DEFAULT_MODEL = "efficientnet_lite0"


def _numbers(value: Any) -> Any:
    """Take `0.5`, `"0.5,0.25"` or a list; what is no number is left for pydantic to refuse."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return (value,) if isinstance(value, int | float) else value


def _resize(value: Any) -> Any:
    """Take a number of pixels, or squash."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    if value is None or value == "squash" or (isinstance(value, int) and value > 0):
        return value
    raise ValueError("allowed are the shorter side in pixels, such as 256, and squash")


MAY_CHANGE = ("resume", "accept_data_changes", "out", "workers", "device", "log", "live", "lang")
"""Settings that a resumed run may have otherwise than the interrupted one."""

Numbers = Annotated[tuple[float, ...], BeforeValidator(_numbers)]
"""Numbers, written with commas between them."""


class TrainConfig(BaseModel):
    """What to train, on what, and how; everything has a default but `data`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data: str = Field(
        description="Folder of class folders, folder with train/ and val/ or test/, CSV or Parquet file, "
        "or a name: digits, cifar10, fashion-mnist, mnist (name:FOLDER where the files are at hand).",
        min_length=1,
    )
    recipe: str | None = Field(
        None, description="Settings to start from, by name (see frostline recipes); all others go before them."
    )
    model: str = Field(
        DEFAULT_MODEL, description="Network: vgg11..vgg19[_bn], resnet18.., any of torchvision's, or timm:NAME."
    )
    weights: str = Field("imagenet", description="Starting weights: imagenet, none, a file, or an earlier run.")
    stages: str | None = Field(
        None,
        description='Plan, e.g. "head:5, layer4:5@1e-4, all:10@1e-5": first part that trains : epochs [@ rate] '
        "[/ pixels of its training pictures].",
    )
    budget: str | None = Field(
        None,
        description="Time for the whole run, as 60s, 5m or 1h: network, views, stages and epochs are chosen to fill "
        "it; what is given beside it stays. 3m where no stages and no epochs are given.",
    )
    epochs: int | None = Field(
        None, ge=1, description="Epochs of a plan of one stage: the head, or all without weights."
    )
    augment: str = Field(
        "none",
        description="Views of a training picture: none, flip, crops:K or random; and drawn anew after a +: "
        "pad:P, cutout:S, randaugment[:N[:M]], as flip+pad:4.",
    )
    image_size: int | None = Field(None, ge=8, le=4096, description="Side of the square input in pixels.")
    resize: Annotated[int | Literal["squash"] | None, BeforeValidator(_resize)] = Field(
        None,
        description="Shorter side in pixels before the centre is cropped, or squash: both sides to the image size. "
        "Default: as the weights were made with.",
    )
    mean: Numbers | None = Field(
        None, description="Mean to subtract, of pixels from 0 to 1: one number, or one per channel, as 0.5,0.5,0.5."
    )
    std: Numbers | None = Field(None, description="Deviation to divide by; as --mean.")
    channels: Literal[1, 3] = Field(3, description="Input channels: 3 colour, 1 grey.")
    width: float = Field(1.0, gt=0, le=4, description="Factor on the widths of frostline's own VGG and ResNet.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout in VGG's hidden layers and in --head mlp.")
    head: Literal["linear", "mlp", "multi", "official", "small"] = Field(
        "linear", description="New head; official and small keep VGG's hidden layers (4096-4096, 512-512)."
    )
    batch_norm: Literal["auto", "keep", "train"] = Field(
        "auto",
        description="Running statistics of thawed BatchNorm: keep the pretrained ones, or train with each batch's; "
        "auto: keep, but train from scratch.",
    )
    init: Literal["default", "he", "xavier"] = Field("default", description="Initial values of untrained layers.")
    allow_missing: str | None = Field(
        None, description='Parts that the weights file may lack, e.g. "classifier"; the head may always be missing.'
    )
    batch_size: int = Field(32, ge=1, description="Pictures per step, over all processes together.")
    lr: float | None = Field(None, gt=0, description="Learning rate of stages that do not name one.")
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="Optimizer.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    nesterov: bool = Field(False, description="Nesterov's momentum for SGD.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay (decoupled for adamw).")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Factor on the rate from each layer to the one before it, counted from the head."
    )
    clip_grad: float | None = Field(
        None, gt=0, description="Largest norm of the gradient; longer ones are scaled down."
    )
    schedule: str = Field(
        "cosine",
        description="Learning rate within a stage: constant, step:N[:F], exponential[:N[:F]], cosine[:WARMUP_EPOCHS], "
        "linear[:WARMUP_EPOCHS], onecycle[:SHARE], plateau[:F[:PATIENCE]].",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the label spread over all classes.")
    mixup: float = Field(0.0, ge=0, description="Alpha of mixup, at the frost line (pixels where nothing is frozen).")
    cutmix: float = Field(0.0, ge=0, description="Alpha of CutMix, likewise; with both, each step takes one of them.")
    ema: float = Field(0.0, ge=0, lt=1, description="Decay of the weights' moving average, which is then what is kept.")
    test_views: Literal["none", "flip", "flip+shift"] = Field(
        "none",
        description="Views of a picture whose logits are averaged when measuring and predicting: flip, it and its "
        "mirror image; flip+shift, both also moved by a pixel, six in all.",
    )
    patience: int | None = Field(None, ge=1, description="Stop a stage after so many epochs without a better one.")
    log: Literal["none", "tensorboard"] = Field(
        "none", description="Event files beside the tables, written after every epoch into RUN/tensorboard."
    )
    seed: int = Field(0, ge=0, description="Everything random is a function of it.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Arithmetic; auto: bf16 where it is fast.")
    engine: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What computes frozen layers; auto: openvino where it is installed and faster here."
    )
    feature_cache: Literal["auto", "ram", "disk", "off"] = Field(
        "auto", description="Where frozen activations are kept; auto decides by price, ram keeps nothing afterwards."
    )
    cache_dir: Path | None = Field(None, description="Home of the activation store and of downloaded data.")
    cache_limit: str = Field("20GB", description="Size above which least recently used activations are removed.")
    val: float = Field(0.15, gt=0, lt=1, description="Share for validation, where DATA has no such split.")
    test: float | None = Field(
        None, ge=0, lt=1, description="Share for testing (0.15 where DATA has no split at all, else none)."
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=100,
        description="Train again with each of so many parts for validation: tells how much of the accuracy is luck.",
    )
    seeds: int | None = Field(
        None, ge=2, le=1000, description="Train again with so many seeds; with --folds, each of them on every fold."
    )
    drop_leaks: bool = Field(
        False,
        description="Leave training pictures out that are copies of validation or test pictures, near ones too (as "
        "frostline inspect finds them), and validation pictures that are copies of test pictures; a split made here "
        "keeps copies on one side.",
    )
    max_damaged: float = Field(0.05, ge=0, le=1, description="Share of damaged pictures above which to stop.")
    max_pixels: int = Field(MAX_PIXELS, ge=1, description="Pictures with more pixels are refused.")
    workers: int | None = Field(None, ge=0, description="Processes that decode pictures (default: one per core).")
    live: bool = Field(False, description="Show the training on a page of this computer as it goes.")
    lang: Literal["auto", "en", "zh"] = Field(
        "auto", description="Language of report.html; auto: Chinese where the system's is, else English."
    )
    out: Path | None = Field(None, description="Run folder (default: runs/<data>-<model>, numbered when it exists).")
    resume: bool = Field(False, description="Go on with the interrupted run in --out.")
    accept_data_changes: bool = Field(
        False, description="With --resume: go on though pictures were added, removed, edited or relabelled since."
    )

    @model_validator(mode="after")
    def _one_source_of_epochs(self) -> Self:
        if self.epochs is not None and self.stages is not None:
            raise ValueError("epochs: belongs to the default plan; with stages, write the epochs there (head:5)")
        return self

    @model_validator(mode="after")
    def _a_budget_chooses_the_plan(self) -> Self:
        if self.budget is not None and (self.stages is not None or self.epochs is not None):
            raise ValueError("budget: chooses stages and epochs; leave out either it, or --stages and --epochs")
        return self

    @model_validator(mode="after")
    def _shares_leave_something(self) -> Self:
        if self.val + (self.test or 0) >= 1:
            raise ValueError(f"val, test: {self.val} and {self.test} leave no picture to train on; lower them")
        return self

    @model_validator(mode="after")
    def _normalisation_fits(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in {1, self.channels}:
                raise ValueError(
                    f"{name}: {len(values)} numbers for {self.channels} channels; give one, or one for each"
                )
        if self.mean is not None and not all(0 <= value <= 1 for value in self.mean):
            raise ValueError("mean: each number lies between 0 and 1, black and white; divide a mean of bytes by 255")
        if self.std is not None and not all(0 < value <= 1 for value in self.std):
            raise ValueError("std: each number must be above 0, and at most 1; divide a deviation of bytes by 255")
        return self

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError("nesterov: needs --optimizer sgd and a momentum above 0; or use --no-nesterov")
        return self

    def to_yaml(self) -> str:
        """Give the settings as YAML that `read_yaml` takes back."""
        values = self.model_dump(mode="json")
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        readable = yaml.safe_load(text) == values  # PyYAML folds some rare line breaks that it writes as they are
        return text if readable else yaml.safe_dump(values, sort_keys=False)


def make_config(**settings: Any) -> TrainConfig:
    """Build a `TrainConfig`; every setting not given keeps its default.

    Raises:
        ConfigError: one line naming the first wrong setting, its value and what is allowed.
    """
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read settings from a YAML file.

    Raises:
        ConfigError: the file is missing or is not a mapping of settings.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(
            f"cannot read settings from {path}: {reason}; give a YAML file of `name: value` lines"
        ) from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds no settings; expected lines such as `model: resnet18`")
    return settings


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(TrainConfig.model_fields)
        return f"no setting is called {name!r}; there are {known}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}={first['input']!r}: {message}" if name else message
