"""Optimizers that hold what a stage trains and nothing else."""

from torch import optim

from frostline.config import TrainConfig
from frostline.network.splitting import Split
from frostline.plan.stages import Stage, trainable


def make_optimizer(config: TrainConfig, stage: Stage, split: Split) -> optim.Optimizer:
    """Build the stage's optimizer over the suffix's parameters; fused, one kernel for all of them.

    Biases and normalisation parameters (one axis) take no weight decay, after "Bag of Tricks" (arXiv 1812.01187).
    """
    parameters = [parameter for _, parameter in trainable(split)]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    match config.optimizer:
        case "sgd":
            return optim.SGD(groups, lr=stage.lr, momentum=config.momentum, fused=True)
        case "adam":
            return optim.Adam(groups, lr=stage.lr, fused=True)
        case "adamw":
            return optim.AdamW(groups, lr=stage.lr, fused=True)


def set_lr(optimizer: optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
