"""Mistakes in freezing: BatchNorm in training mode, frozen parameters in the optimizer, a cut inside a block."""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

import measure
from mistakes_base import (
    Finding,
    Pictures,
    Places,
    accuracy,
    cifar,
    generator,
    head_epochs,
    in_batches,
    insects,
    one_thread,
    resnet_body,
    spread,
)


@one_thread()
def batch_norm_t2(places: Places) -> Finding:
    """T2's frozen network on ants and bees, its BatchNorm in training mode and in evaluation mode."""
    train, val = insects(places)

    def sgd(head: nn.Linear) -> torch.optim.Optimizer:
        return torch.optim.SGD(head.parameters(), lr=1e-3, momentum=0.9)

    how = (
        "ants and bees at 64 px, no augmentation; ResNet-18, batch 4, SGD 1e-3, momentum 0.9, x 0.1 every 7 epochs, 25"
    )
    return _batch_norm(places, "T2", train, val, epochs=25, batch=4, optimizer=sgd, how=how, steps=7)


def batch_norm_t5(places: Places) -> Finding:
    """T5's five frozen epochs on a part of CIFAR-10."""
    train, test = cifar(places, "train", 1500), cifar(places, "test", 500)

    def adam(head: nn.Linear) -> torch.optim.Optimizer:
        return torch.optim.Adam(head.parameters(), lr=1e-3, weight_decay=1e-4)

    how = "1,500 and 500 pictures of CIFAR-10 at 32 px, no augmentation; ResNet-18, batch 64, Adam 1e-3, 5 epochs"
    return _batch_norm(places, "T5", train, test, epochs=5, batch=64, optimizer=adam, how=how)


def _batch_norm(
    places: Places,
    tutorial: str,
    train: Pictures,
    test: Pictures,
    *,
    epochs: int,
    batch: int,
    optimizer: Callable[[nn.Linear], torch.optim.Optimizer],
    how: str,
    steps: int | None = None,
) -> Finding:
    """Train heads both ways from the same starts in the same orders, score both in evaluation mode."""
    fixed = resnet_body(places)
    stored, scored = in_batches(fixed, train.x), in_batches(fixed, test.x)

    def begin(updates: torch.optim.Optimizer, epoch: int) -> None:
        if steps is not None:
            updates.param_groups[0]["lr"] = 1e-3 * 0.1 ** (epoch // steps)

    theirs, ours, drifts = [], [], []
    for seed in range(places.network_seeds):
        moved = copy.deepcopy(fixed).train()
        common: dict[str, Any] = {
            "epochs": epochs,
            "batch": batch,
            "seed": seed,
            "optimizer": optimizer,
            "begin": begin,
        }
        *_, head = head_epochs(lambda i, moved=moved: moved(train.x[i]), train.y, **common)  # type: ignore[misc]
        moved.eval()
        after = in_batches(moved, test.x)
        theirs.append(accuracy(head(after), test.y))
        drifts.append({**statistics_drift(fixed, moved), "features": relative(after, scored)})
        with one_thread():
            *_, head = head_epochs(lambda i: stored[i], train.y, **common)
        ours.append(accuracy(head(scored), test.y))
    return {
        "tutorial": tutorial,
        "mistake": "frozen BatchNorm in training mode",
        "as_the_tutorial": spread(theirs),
        "repaired": spread(ours),
        "difference_points": spread([100 * (a - b) for a, b in zip(theirs, ours, strict=True)]),
        "relative_drift": {name: spread([one[name] for one in drifts]) for name in drifts[0]},
        "unit": "accuracy on the evaluated part",
        "n": places.network_seeds,
        "how": f"{how}; both scored in evaluation mode. Drift: norm of the change of all running statistics, and of "
        "the evaluated pictures' features, over the norm before; 0 when repaired",
    }


def statistics_drift(before: nn.Module, after: nn.Module) -> dict[str, float]:
    """How far the running statistics moved, relative to where they were."""
    drift = {}
    for name in ("running_mean", "running_var"):
        old, new = (
            torch.cat([value for key, value in net.state_dict().items() if key.endswith(name)])
            for net in (before, after)
        )
        drift[name] = relative(new, old)
    return drift


def relative(a: Tensor, b: Tensor) -> float:
    """Norm of the difference over the norm of the second."""
    return float((a - b).norm() / b.norm())


def batch_mates(places: Places) -> Finding:
    """How far one picture's frozen features differ with the pictures that share its batch."""
    pictures = insects(places)[1].x
    body = resnet_body(places)
    as_taught = copy.deepcopy(body).train()
    theirs = {size: _mates(as_taught, pictures, size, places.seeds) for size in (4, 64)}
    return {
        "tutorial": "T2, T5",
        "mistake": "frozen features depend on the other pictures of the batch",
        "as_the_tutorial": {f"batch {size}": spread(values) for size, values in theirs.items()},
        "repaired": spread(_mates(body, pictures, 4, places.seeds)),
        "unit": "norm of the difference of two features of one picture over their norm",
        "n": places.seeds,
        "how": "ants and bees at 64 px; as many pictures, each in two random batches, ResNet-18 in training mode "
        "(repaired: evaluation mode)",
    }


def _mates(body: nn.Module, pictures: Tensor, size: int, count: int) -> list[float]:
    draws = generator(0)
    distances = []
    for index in range(count):
        others = [torch.randperm(len(pictures), generator=draws)[: size - 1] for _ in range(2)]
        with torch.no_grad():
            one, two = (body(pictures[torch.cat([torch.tensor([index]), mates])])[0] for mates in others)
        distances.append(relative(one, two))
    return distances


@one_thread()
def frozen_in_optimizer(places: Places) -> list[Finding]:
    """Seconds a step and bytes of state when the frozen parameters are handed over as well."""
    sgd = lambda parameters: torch.optim.SGD(parameters, lr=1e-4)  # noqa: E731
    adam = lambda parameters: torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)  # noqa: E731
    cases = (
        ("T1", models.vgg16(weights=None, num_classes=10), "classifier.6", sgd),
        ("T5", models.resnet18(weights=None, num_classes=10), "fc", adam),
    )
    return [_optimizer_cost(*case) for case in cases] + [stale_gradients(places)]


def _optimizer_cost(tutorial: str, network: nn.Module, head: str, make: Callable[[Any], Any]) -> Finding:
    network.requires_grad_(False)
    trained = list(network.get_submodule(head).requires_grad_(True).parameters())
    optimizers = {"all": make(network.parameters()), "trained": make(trained)}
    seconds: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(200):
        for name, optimizer in optimizers.items():
            for parameter in trained:
                parameter.grad = torch.zeros_like(parameter)
            start = time.perf_counter()
            optimizer.step()
            optimizer.zero_grad()
            seconds[name].append(time.perf_counter() - start)
    state = {name: state_bytes(optimizer) for name, optimizer in optimizers.items()}
    return {
        "tutorial": tutorial,
        "mistake": "frozen parameters handed to the optimizer: cost",
        "as_the_tutorial": {"microseconds": 1e6 * measure.median(seconds["all"]), "bytes_of_state": state["all"]},
        "repaired": {"microseconds": 1e6 * measure.median(seconds["trained"]), "bytes_of_state": state["trained"]},
        "unit": "median of a step and a zero_grad; state after it",
        "n": 200,
        "how": f"{type(network).__name__}, only {head} trains, {type(optimizers['all']).__name__}; today's zero_grad "
        "drops gradients, and a parameter without one is passed over, so no state is made",
    }


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of the tensors that an optimizer keeps."""
    kept = (value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor))
    return sum(value.numel() * value.element_size() for value in kept)


def stale_gradients(places: Places) -> Finding:
    """What moves when layers were thawed once and frozen again, by the flag alone, with gradients left in place."""
    outcome = {}
    for name, drops in (("gradients zeroed", False), ("gradients dropped", True)):
        network = models.resnet18(weights=None)
        network.load_state_dict({**network.state_dict(), **resnet_body(places).state_dict()})
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-4)
        _step(network, optimizer, set_to_none=drops)
        optimizer.zero_grad(set_to_none=drops)
        frozen = {key: value for key, value in network.named_parameters() if not key.startswith("fc")}
        for parameter in frozen.values():
            parameter.requires_grad = False
        before = {key: value.clone() for key, value in frozen.items()}
        for _ in range(10):
            _step(network, optimizer, set_to_none=drops)
        moved = [key for key, value in frozen.items() if not torch.equal(value, before[key])]
        old, new = (torch.cat([value.flatten() for value in part.values()]) for part in (before, frozen))
        outcome[name] = {"frozen_tensors_moved": len(moved), "of": len(frozen), "relative_distance": relative(new, old)}
    return {
        "tutorial": "T5",
        "mistake": "frozen parameters handed to the optimizer: what moves",
        "as_the_tutorial": outcome["gradients zeroed"],
        "repaired": outcome["gradients dropped"],
        "unit": "frozen tensors that moved in 10 steps",
        "n": 1,
        "how": "ResNet-18, Adam 1e-4, weight decay 1e-4: one step with all layers, then frozen by the flag. Zeroed "
        "(zero_grad(set_to_none=False), the default before torch 2.0) against dropped (today's default); the tutorials "
        "freeze before the first step, so with today's torch nothing moves in them",
    }


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, *, set_to_none: bool) -> None:
    x = torch.randn(4, 3, 32, 32, generator=generator(0))
    optimizer.zero_grad(set_to_none=set_to_none)
    functional.cross_entropy(network(x), torch.arange(4)).backward()
    optimizer.step()


def cut_by_index(places: Places) -> Finding:
    """What "the first 17 parameters" of VGG-16 are, against the first three blocks."""
    del places
    with torch.device("meta"):
        parameters = list(models.vgg16(weights=None).features.named_parameters())

    def cut(at: int) -> dict[str, Any]:
        return {
            "frozen_tensors": at,
            "frozen_parameters": sum(value.numel() for _, value in parameters[:at]),
            "last_frozen": f"features.{parameters[at - 1][0]}",
            "first_trained": f"features.{parameters[at][0]}",
        }

    theirs, ours = cut(17), cut(14)
    return {
        "tutorial": "T1",
        "mistake": "three blocks counted as 17 parameters",
        "as_the_tutorial": theirs,
        "repaired": ours,
        "said_to_train_but_frozen": [f"features.{name}" for name, _ in parameters[14:17]],
        "parameters_said_to_train_but_frozen": theirs["frozen_parameters"] - ours["frozen_parameters"],
        "unit": "tensors and parameters",
        "n": 1,
        "how": "names and sizes of torchvision's VGG-16; exact",
    }
