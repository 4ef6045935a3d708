"""Stages with their names resolved to cuts: what trains, where the frost line lies, how fast."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx, nn

from frostline.config import TrainConfig
from frostline.network.cuts import Cut, Traced
from frostline.network.folding import fold
from frostline.network.splitting import Split
from frostline.plan.grammar import StageText, parse_stages

HEAD_LR = {"sgd": 1e-2, "adam": 1e-3, "adamw": 1e-3}
THAWED_LR = {"sgd": 1e-3, "adam": 1e-4, "adamw": 1e-4}
DEFAULT_HEAD_EPOCHS = 10
DEFAULT_SCRATCH_EPOCHS = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a plan, resolved against a network."""

    number: int
    part: str
    epochs: int
    lr: float
    cut: Cut
    size: int | None = None
    """Side of its training pictures in pixels, where it is not the network's (progressive resizing)."""

    @property
    def name(self) -> str:
        """The stage as told to the user, such as `stage 2, layer4`."""
        return f"stage {self.number + 1}, {self.part}"

    @property
    def shown(self) -> str:
        """What trains, and the size where the stage has its own: `layer4`, `layer4/160`."""
        return self.part if self.size is None else f"{self.part}/{self.size}"


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """How many parameters a stage leaves frozen and trains."""

    frozen: int
    trainable: int


def resolve_plan(config: TrainConfig, traced: Traced) -> tuple[Stage, ...]:
    """Turn the settings into stages.

    Without stages in the settings: one head stage on pretrained weights, one `all` stage on none.

    Raises:
        PlanError: a stage is malformed or names a part that does not exist.
    """
    texts = parse_stages(config.stages) if config.stages is not None else (_default_stage(config),)
    return tuple(_resolve(config, traced, number, text) for number, text in enumerate(texts))


def _default_stage(config: TrainConfig) -> StageText:
    if config.weights == "none":
        return StageText("all", config.epochs or DEFAULT_SCRATCH_EPOCHS, config.lr or HEAD_LR[config.optimizer])
    return StageText("head", config.epochs or DEFAULT_HEAD_EPOCHS)


def _resolve(config: TrainConfig, traced: Traced, number: int, text: StageText) -> Stage:
    cut = traced.before(text.part)
    defaults = HEAD_LR if text.part == "head" else THAWED_LR
    lr = text.lr or config.lr or defaults[config.optimizer]
    return Stage(number, text.part, text.epochs, lr, cut, text.size)


def freeze(module: nn.Module, split: Split) -> ParameterCounts:
    """Freeze what lies above the frost line and thaw the rest, in the senses that a module can hold.

    Requires_grad is set; the prefix is put in evaluation mode, where only its own `train` could change it, which nobody
    calls. The optimizer (`trainable`) and `no_grad` (the code that runs the prefix) see to the other two.
    """
    training = {id(parameter) for parameter in split.suffix.parameters()}
    for parameter in module.parameters():
        parameter.requires_grad_(id(parameter) in training)
        parameter.grad = None
    split.prefix.eval()
    return count_parameters(module, split)


def start_training_mode(suffix: nn.Module, config: TrainConfig, head: str) -> list[str]:
    """Put a suffix in training mode; thawed BatchNorm keeps its running statistics where the settings say so.

    A short thaw moves the statistics only part of the way to the new pictures', and the pictures of one batch are few.
    A new head has no statistics to keep, so its own always train.

    Args:
        suffix: of a split.
        config: the run's.
        head: qualified name of the head.

    Returns:
        Names of the BatchNorm layers whose statistics train.
    """
    suffix.train()
    keep = config.batch_norm == "keep" or (config.batch_norm == "auto" and config.weights != "none")
    norms = {name: part for name, part in suffix.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)}
    kept = [name for name in norms if keep and not name.startswith(f"{head}.")]
    for name in kept:
        norms[name].eval()
    return [name for name in norms if name not in kept]


def training_graph(split: Split, config: TrainConfig, head: str) -> fx.GraphModule:
    """Put a suffix in training mode and give the graph that trains: BatchNorm that keeps its statistics is folded."""
    start_training_mode(split.suffix, config, head)
    return fold(split.suffix)


def count_parameters(module: nn.Module, split: Split) -> ParameterCounts:
    """Count the parameters on both sides of the frost line."""
    trainable = sum(parameter.numel() for parameter in split.suffix.parameters())
    return ParameterCounts(sum(parameter.numel() for parameter in module.parameters()) - trainable, trainable)


def trainable(split: Split) -> Sequence[tuple[str, nn.Parameter]]:
    """Parameters that the stage trains, by their names in the network, each once."""
    return list(split.suffix.named_parameters())
