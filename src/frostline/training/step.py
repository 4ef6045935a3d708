"""One update, and one evaluation: the maths, with nothing else in it.

Shapes: B pictures of a batch, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, fx, nn, optim
from torch.nn import functional

from frostline.activations.feed import Feed
from frostline.activations.store import Values
from frostline.data.loader import Request
from frostline.network.convolutions import FastConvolutions
from frostline.training.mixing import NO_MIX, Mix, mix_values, partners_of


@dataclass(frozen=True, slots=True)
class Rules:
    """How a step learns from its batch."""

    label_smoothing: float = 0.0
    """Share of the label spread evenly over all classes (arXiv 1512.00567, section 7)."""
    mix: Mix = NO_MIX
    mix_seed: int = 0
    channel_axes: tuple[int, ...] = (0,)
    """Of each value that is mixed, the batch not counted."""
    max_grad_norm: float | None = None
    """Euclidean norm over all parameters, to which a longer gradient is scaled down."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """Sums over this process's part of the batch, as tensors: reading them is left to the end of the epoch."""

    loss: Tensor
    correct: Tensor
    """A mixed picture is right in the share of the label that is named."""


def train_step(
    suffix: nn.Module,
    values: Values,
    labels_B: Tensor,
    optimizer: optim.Optimizer,
    fabric: Fabric,
    *,
    rules: Rules,
    share: float = 1.0,
) -> StepResult:
    """Make one update of the suffix.

    Args:
        suffix: in training mode, set up by fabric.
        values: what crosses the cut, (B, ...) each.
        labels_B: int64.
        optimizer: over the suffix's parameters.
        fabric: runs backward, averages gradients over processes.
        rules: what is learnt from the batch, and how far.
        share: pictures here times processes over pictures in the global batch, so that the averaged gradient is that of
            the mean over the global batch.
    """
    answers = [(1.0, labels_B)]
    if rules.mix is not NO_MIX:
        partners_B = partners_of(len(labels_B), rules.mix_seed).to(labels_B.device)
        values, kept = mix_values(values, rules.mix, partners_B, rules.channel_axes)
        answers = [(kept, labels_B), (1 - kept, labels_B[partners_B])]
    with FastConvolutions():
        logits_BK = suffix(*values).float()
    loss = torch.stack(
        [
            weight * functional.cross_entropy(logits_BK, answer_B, label_smoothing=rules.label_smoothing)
            for weight, answer_B in answers
        ]
    ).sum()
    fabric.backward(loss * share)
    if rules.max_grad_norm is not None:
        nn.utils.clip_grad_norm_(suffix.parameters(), rules.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        best_B = logits_BK.argmax(dim=1)
        correct = torch.stack([weight * (best_B == answer_B).sum() for weight, answer_B in answers]).sum()
        return StepResult(loss.detach() * len(labels_B), correct)


def predict_batches(
    suffix: fx.GraphModule, feed: Feed, requests: Sequence[Sequence[Request]], fabric: Fabric
) -> Iterator[Tensor]:
    """Give float32 logits (B, K) of each batch, in evaluation mode."""
    suffix.eval()
    for values in feed.batches(requests):
        with torch.no_grad(), fabric.autocast(), FastConvolutions():
            logits_BK: Tensor = suffix(*values)
        yield logits_BK.float()
