"""Initial values of a network that does not start from pretrained weights."""

from collections.abc import Callable

import torch
from torch import nn

from frostline.errors import ConfigError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def initialise(module: nn.Module, method: str, *, seed: int) -> None:
    """Give the layers of a module new initial values, in place.

    "he" draws convolutions (by their outputs) and linear layers (by their inputs) from the normal distribution of
    arXiv 1502.01852, equation 10; "xavier" draws both from the uniform one of Glorot and Bengio 2010, equation 16; both
    set every bias to 0. "default" calls each layer's own `reset_parameters`. Norm layers get weight 1, bias 0 and fresh
    running statistics. A parameter in no such layer (a class token, say) keeps its value.

    Args:
        module: network or part of one, on the CPU: there alone are the draws a function of the seed.
        method: "default", "he" or "xavier".
        seed: same module, method and seed: same values. torch's global generators are left as they were.

    Raises:
        ConfigError: no method has that name.
    """
    if method not in METHODS:
        raise ConfigError(f"init={method!r} is not known; choose one of {', '.join(METHODS)}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the GPUs
        for layer in module.modules():
            METHODS[method](layer)


def _default(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if reset is not None:
        reset()


def _he(layer: nn.Module) -> None:
    if isinstance(layer, CONVOLUTIONS):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        _zero_bias(layer)
    elif isinstance(layer, nn.Linear):
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        _zero_bias(layer)
    elif isinstance(layer, NORMS):
        layer.reset_parameters()


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, (*CONVOLUTIONS, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
        _zero_bias(layer)
    elif isinstance(layer, NORMS):
        layer.reset_parameters()


def _zero_bias(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


METHODS: dict[str, Callable[[nn.Module], None]] = {"default": _default, "he": _he, "xavier": _xavier}
"""What each method does to one layer."""
