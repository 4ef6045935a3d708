"""Optimizers that hold what a stage trains and nothing else."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from torch import nn, optim

from frostline.config import TrainConfig
from frostline.network.splitting import Split
from frostline.plan.stages import Stage, trainable


def make_optimizer(config: TrainConfig, stage: Stage, split: Split) -> optim.Optimizer:
    """Build the stage's optimizer over the suffix's parameters; fused, one kernel for all of them.

    Biases and normalisation parameters (one axis) take no weight decay, after "Bag of Tricks" (arXiv 1812.01187). With
    `layer_decay` each layer's rate is that of the next one towards the head, times it (arXiv 1801.06146, section 3.2).
    """
    layers = _layers(trainable(split)) if config.layer_decay < 1 else [[p for _, p in trainable(split)]]
    groups = [
        group
        for distance, layer in enumerate(reversed(layers))
        for group in _groups(layer, config.weight_decay, rate_factor=config.layer_decay**distance)
    ]
    return optimizer_over(config, groups, stage.lr)


def optimizer_over(config: TrainConfig, groups: Sequence[dict[str, Any]], lr: float) -> optim.Optimizer:
    """Build the optimizer of the settings over groups of parameters."""
    match config.optimizer:
        case "sgd":
            fused = _fused_sgd_pays(config, groups)
            return optim.SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
        case "adam":
            return optim.Adam(groups, lr=lr, fused=True)
        case "adamw":
            return optim.AdamW(groups, lr=lr, fused=True)


def _fused_sgd_pays(config: TrainConfig, groups: Sequence[dict[str, Any]]) -> bool:
    """Tell whether SGD in one kernel is faster than in one or two for each tensor; both give the same values.

    On a CPU torch's kernel copies each gradient that lies channels last, which costs more than it saves where there is
    neither weight decay nor a look ahead to add.
    """
    on_cpu = all(parameter.device.type == "cpu" for group in groups for parameter in group["params"])
    return config.nesterov or config.weight_decay > 0 or not on_cpu


def set_lr(optimizer: optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group: the head's, times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["rate_factor"]


def _groups(parameters: Sequence[nn.Parameter], weight_decay: float, *, rate_factor: float) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay, "rate_factor": rate_factor},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0, "rate_factor": rate_factor},
    ]
    return [group for group in groups if group["params"]]


def _layers(named: Sequence[tuple[str, nn.Parameter]]) -> list[list[nn.Parameter]]:
    """Parameters by layer, in the order of the network."""
    return [[p for _, p in layer] for _, layer in groupby(named, key=lambda pair: layer_name(pair[0]))]


def layer_name(parameter: str) -> str:
    """Name the layer, or the block of layers, that a parameter belongs to: its path down to the first numbered part.

    >>> names = "layer4.1.conv2.weight", "features.24.bias", "encoder.layers.encoder_layer_3.ln_1.weight", "fc.bias"
    >>> [layer_name(name) for name in names]
    ['layer4.1', 'features.24', 'encoder.layers.encoder_layer_3', 'fc']
    """
    first, *inner = parameter.split(".")[:-1] or [parameter]
    numbered = [place for place, part in enumerate(inner) if part[-1:].isdigit()]
    return ".".join([first, *inner[: numbered[0] + 1]] if numbered else [first])
