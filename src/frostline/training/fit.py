"""Fit a head by logistic regression; its depths and its weight decay are chosen on validation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from frostline.network.heads import DepthHead

DECAYS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
"""Tried from strong to weak, each starting from the one before. The loss is mean cross entropy + decay/2 * |W|^2."""
MOST_PICTURES = 10_000
MOST_WORK = 1e9
"""Pictures times channels times classes: what one look at the training pictures may cost."""
ITERATIONS = 50
LEAST_GAIN = 3e-7
"""Of the loss, in nats, from one iteration to the next; a smaller one ends a fit."""
QUICKLY = 15
"""Iterations of a fit that only has to compare pictures or shares of them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A fitted linear layer and what it is made of."""

    depths: int
    """How many depths are used, counted from the deepest."""
    decay: float
    val_loss: float
    weight: Tensor
    bias: Tensor


def fit_depth_head(
    head: DepthHead, train_ND: Tensor, train_labels_N: Tensor, val_MD: Tensor, val_labels_M: Tensor
) -> Choice:
    """Set a head's statistics, depths and weights.

    Depth sets are nested: the deepest alone, the two deepest, ... The lowest validation log loss wins; it moves less by
    chance than accuracy does.

    Args:
        head: changed in place.
        train_ND: float32 concatenated pooled activations of all depths.
        train_labels_N: int64.
        val_MD: as train_ND.
        val_labels_M: int64.
    """
    mean_D, scale_D = train_ND.mean(dim=0), _scale(train_ND.std(dim=0), head.widths)
    train_ND, val_MD = (train_ND - mean_D) * scale_D, (val_MD - mean_D) * scale_D
    choices = [
        choice
        for depths in range(1, len(head.widths) + 1)
        for choice in _path(depths, head, train_ND, train_labels_N, val_MD, val_labels_M)
    ]
    best = min(choices, key=lambda choice: choice.val_loss)
    unused = sum(head.widths) - best.weight.shape[1]
    with torch.no_grad():
        head.mean.copy_(mean_D)
        head.scale.copy_(scale_D)
        head.scale[:unused] = 0
        head.linear.weight.zero_()
        head.linear.weight[:, unused:] = best.weight
        head.linear.bias.copy_(best.bias)
    return best


def choose_pictures(count: int, work_per_picture: int) -> list[int]:
    """Give the numbers of the pictures to fit on: all, or a fixed random choice of as many as are affordable.

    Args:
        count: of all pictures.
        work_per_picture: channels times classes.
    """
    affordable = min(MOST_PICTURES, max(1, int(MOST_WORK / work_per_picture)))
    chosen: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:affordable].tolist()
    return chosen


def _scale(std_D: Tensor, widths: Sequence[int]) -> Tensor:
    """One over each channel's deviation, but no more than ten times its depth's typical one.

    A channel that hardly moves would otherwise be blown up, and with it whatever a later stage changes below it.
    """
    floors = torch.cat([(0.1 * part.mean()).expand_as(part) for part in torch.split(std_D, list(widths))])
    return 1 / torch.maximum(std_D, floors).clamp_min(1e-6)


def _path(
    depths: int, head: DepthHead, train_ND: Tensor, labels_N: Tensor, val_MD: Tensor, val_labels_M: Tensor
) -> Iterator[Choice]:
    """Fit the deepest `depths` with one decay after the other, from strong to weak, until the loss rises.

    Along such a path the validation loss falls to where the fit begins to overfit and rises from there on.
    """
    width = sum(head.widths[-depths:])
    fit, lowest = LogisticFit(train_ND[:, -width:], labels_N, head.linear.out_features), math.inf
    for decay in DECAYS:
        val_loss = float(functional.cross_entropy(fit.with_decay(decay, val_MD[:, -width:]), val_labels_M))
        if val_loss > lowest:
            return
        lowest, layer = val_loss, fit.layer
        yield Choice(depths, decay, val_loss, layer.weight.detach().clone(), layer.bias.detach().clone())


class LogisticFit:
    """A logistic regression, fitted with one weight decay after the other, each starting from the one before.

    Args:
        x_ND: float32, standardised.
        labels_N: int64.
        classes: how many there are.
        iterations: of L-BFGS with one decay, at most.
    """

    def __init__(self, x_ND: Tensor, labels_N: Tensor, classes: int, *, iterations: int = ITERATIONS) -> None:
        self.layer = nn.Linear(x_ND.shape[1], classes, device=x_ND.device)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self._x_ND, self._labels_N, self._iterations = x_ND, labels_N, iterations

    def with_decay(self, decay: float, others_MD: Tensor) -> Tensor:
        """Fit with a decay, and give the logits (M, classes) of other rows."""
        _minimise(self.layer, self._x_ND, self._labels_N, decay, self._iterations)
        with torch.no_grad():
            logits: Tensor = self.layer(others_MD)
        return logits


def _minimise(layer: nn.Linear, x_ND: Tensor, labels_N: Tensor, decay: float, iterations: int) -> None:
    optimizer = optim.LBFGS(
        layer.parameters(),
        max_iter=iterations,
        tolerance_change=LEAST_GAIN,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(layer(x_ND), labels_N) + decay / 2 * layer.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def concatenate(batches: Sequence[Sequence[Tensor]]) -> Tensor:
    """Join batches of pooled activations, one tensor per depth, into float32 (pictures, all channels)."""
    return torch.cat([torch.cat([value.float() for value in values], dim=1) for values in batches])
