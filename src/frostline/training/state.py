"""The state that a resumed run starts from: one safetensors file, replaced whole.

Order, views, dropout and learning rates are functions of (seed, stage, epoch, step), so the state is counters, weights
and the optimizer's moments.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn, optim

from frostline.errors import BundleError
from frostline.files import atomic_write
from frostline.training.history import History

FORMAT = 1
Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands after an epoch."""

    stage: int
    """Place of the stage in the plan."""
    epoch: int
    """Epochs of that stage that are done."""
    history: History
    weights: Tensors
    """All that the plan trains, parameters and buffers, as it is now."""
    best: Tensors
    """The same, as it was at the best epoch."""
    moments: Tensors
    """The optimizer's state, by `parameter/slot`."""
    frozen: str
    """Digest of all that the plan never trains."""


def save_state(path: Path, state: State) -> None:
    """Write a state; the previous one stays until this one is complete."""
    tensors = {
        f"{group}:{name}": tensor.detach().cpu().contiguous()
        for group in ("weights", "best", "moments")
        for name, tensor in getattr(state, group).items()
    }
    facts = {
        "format": FORMAT,
        "stage": state.stage,
        "epoch": state.epoch,
        "frozen": state.frozen,
        "history": state.history.to_json(),
    }
    atomic_write(path, lambda temporary: save_file(tensors, temporary, metadata={"frostline": json.dumps(facts)}))


def load_state(path: Path) -> State:
    """Read a state.

    Raises:
        BundleError: it is damaged, or of another format.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["frostline"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"cannot resume from {path}: {error}; remove the file to start the run anew") from None
    if facts.get("format") != FORMAT:
        raise BundleError(f"{path} has format {facts.get('format')}, this version reads {FORMAT}; start the run anew")
    groups: dict[str, Tensors] = {"weights": {}, "best": {}, "moments": {}}
    for name, tensor in tensors.items():
        group, _, key = name.partition(":")
        groups[group][key] = tensor
    return State(facts["stage"], facts["epoch"], History.from_json(facts["history"]), **groups, frozen=facts["frozen"])


def read_moments(optimizer: optim.Optimizer, names: Mapping[int, str]) -> Tensors:
    """Give the optimizer's state by parameter name.

    Args:
        optimizer: SGD, Adam or AdamW.
        names: of the parameters, by identity.
    """
    return {
        f"{names[id(parameter)]}/{slot}": value
        for parameter, slots in optimizer.state.items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def write_moments(optimizer: optim.Optimizer, parameters: Mapping[str, nn.Parameter], moments: Tensors) -> None:
    """Put saved moments back into a fresh optimizer."""
    for key, value in moments.items():
        name, _, slot = key.rpartition("/")
        parameter = parameters[name]
        slots: dict[str, Any] = optimizer.state[parameter]
        slots[slot] = value if slot == "step" else torch.empty_like(parameter).copy_(value)
