"""An exponential moving average of what a stage trains (Polyak and Juditsky 1992), measured and kept in its place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from frostline.sealed import Tensors


class Average:
    """The average of a module's floating-point parameters and buffers over the steps.

    Early steps count less: the factor is min(decay, (1 + t) / (10 + t)) at step t, so that the initial values fade.

    Args:
        module: what trains; its tensors are referred to, and changed only by `applied` and `take_over`.
        decay: what the average keeps of itself at each step, above 0 and below 1.
        steps: updates that `values` has seen.
        values: of an interrupted run.
    """

    def __init__(self, module: nn.Module, decay: float, *, steps: int = 0, values: Tensors | None = None) -> None:
        self._decay, self._steps = decay, steps
        state = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
        self._current: list[Tensor] = list(state.values())
        self.values: Tensors = {name: (values or state)[name].to(own.device).clone() for name, own in state.items()}

    def update(self) -> None:
        """Move the average towards the module as it is now."""
        keep = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        torch._foreach_lerp_(list(self.values.values()), self._current, 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the module hold the average meanwhile."""
        kept = [value.clone() for value in self._current]
        self.take_over()
        try:
            yield
        finally:
            torch._foreach_copy_(self._current, kept)

    def take_over(self) -> None:
        """Put the average into the module."""
        torch._foreach_copy_(self._current, list(self.values.values()))
