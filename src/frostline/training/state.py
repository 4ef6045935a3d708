"""The state that a resumed run starts from: one safetensors file, replaced whole.

Order, views, dropout and learning rates are functions of (seed, stage, epoch, step), so the state is counters, weights,
the optimizer's moments, and what the steps of the epoch under way gave.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from frostline.errors import BundleError
from frostline.sealed import Tensors, read_sealed, write_sealed
from frostline.training.history import History

FORMAT = 4
"""Format 1 had no average, format 2 no engine: torch alone; format 3 no steps within an epoch."""
GROUPS = ("weights", "best", "moments", "average", "sums")
STEPS = "steps"


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands after a step."""

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
    average: Tensors
    """The moving average of what the stage trains; empty where there is none."""
    frozen: str
    """Digest of all that the plan never trains."""
    choice: str
    """Where the stage's frozen layers came from: stored and computed values may differ in the last bit."""
    engine: str = "torch"
    """What kind computed them: torch or openvino."""
    step: int = 0
    """Steps of the epoch after those that are done."""
    sums: Tensors = field(default_factory=dict)
    """Of those steps, `steps`: (steps, 2) float32, sums over pictures of loss and of right answers."""
    settings: str = ""
    """Digest of the run's settings; empty where the format had none."""

    @property
    def done(self) -> Tensor:
        """What the steps of the epoch under way gave: (steps, 2) float32."""
        return self.sums.get(STEPS, torch.zeros(0, 2))


def save_state(path: Path, state: State) -> None:
    """Write a state; the previous one stays until this one is complete and reads back as it was written."""
    tensors = {f"{group}:{name}": tensor for group in GROUPS for name, tensor in getattr(state, group).items()}
    facts = {
        "stage": state.stage,
        "epoch": state.epoch,
        "frozen": state.frozen,
        "choice": state.choice,
        "engine": state.engine,
        "step": state.step,
        "settings": state.settings,
        "history": state.history.to_json(),
    }
    write_sealed(path, tensors, facts, kind="state", version=FORMAT)


def load_state(path: Path) -> State:
    """Read a state.

    Raises:
        BundleError: it is damaged, or of another format.
    """
    try:
        facts, tensors = read_sealed(path, kind="state", newest=FORMAT)
    except BundleError as error:
        raise BundleError(f"cannot resume: {error}; or remove the file to start the run anew") from None
    try:
        return _state(facts, tensors)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"cannot resume: {path} is not the state of a training ({error}); remove the file to start the run anew"
        ) from None


def _state(facts: Mapping[str, Any], tensors: Tensors) -> State:
    groups: dict[str, Tensors] = {group: {} for group in GROUPS}
    for name, tensor in tensors.items():
        group, _, key = name.partition(":")
        groups[group][key] = tensor
    return State(
        stage=facts["stage"],
        epoch=facts["epoch"],
        history=History.from_json(facts["history"]),
        **groups,
        frozen=facts["frozen"],
        choice=facts["choice"],
        engine=facts.get("engine", "torch"),
        step=facts.get("step", 0),
        settings=facts.get("settings", ""),
    )


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
