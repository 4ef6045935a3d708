"""Mistakes in networks and scoring: softmax before cross entropy, shapes, flips, training mode, two passes."""

import time
from functools import lru_cache
from pathlib import PureWindowsPath
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import measure
from mistakes_base import Finding, Pictures, Places, accuracy, cifar, generator, in_batches, one_thread, spread
from tutorial_networks import CifarFirst, CifarSecond, fashion_vgg11

TRAIN, TEST, EPOCHS, DIVISOR = 5000, 1000, 2, 8
SETTING = (
    f"T4's second network with 1/{DIVISOR} of the widths, {TRAIN:,} pictures of CIFAR-10 at 32 px flipped at random, "
    f"batch 4, SGD 1e-3, momentum 0.9, {EPOCHS} epochs; {TEST:,} test pictures"
)


@lru_cache(maxsize=32)
def small_vgg(places: Places, seed: int, *, softmax: bool) -> nn.Module:
    """Train T4's second network, narrow, with or without softmax before the cross entropy."""
    data = cifar(places, "train", TRAIN)
    torch.manual_seed(seed)
    network = CifarSecond(DIVISOR)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    with one_thread():
        for index in torch.cat([torch.randperm(TRAIN) for _ in range(EPOCHS)]).split(4):
            outputs = network(flip(data.x[index]))
            loss = functional.cross_entropy(outputs.softmax(1) if softmax else outputs, data.y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def flip(x: Tensor, draws: torch.Generator | None = None) -> Tensor:
    """Mirror each picture with probability one half."""
    mirrored = torch.rand(len(x), generator=draws) < 0.5
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def _test(places: Places) -> Pictures:
    return cifar(places, "test", TEST)


@one_thread()
def softmax_first(places: Places) -> Finding:
    """Softmax before cross entropy, against logits."""
    test = _test(places)
    results: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for softmax, rows in results.items():
        for seed in range(places.network_seeds):
            outputs = in_batches(small_vgg(places, seed, softmax=softmax), test.x, 100)
            printed = functional.cross_entropy(outputs.softmax(1) if softmax else outputs, test.y)
            rows.append((float(functional.cross_entropy(outputs, test.y)), accuracy(outputs, test.y), float(printed)))

    def told(rows: list[tuple[float, float, float]]) -> dict[str, Any]:
        names = ("minus_log_probability", "accuracy", "loss_as_printed")
        return {name: spread(list(values)) for name, values in zip(names, zip(*rows, strict=True), strict=True)}

    floor = float(functional.cross_entropy(torch.eye(10)[:1], torch.tensor([0])))
    return {
        "tutorial": "T4",
        "mistake": "softmax before cross entropy",
        "as_the_tutorial": told(results[True]),
        "repaired": told(results[False]),
        "least_loss_it_can_print": floor,
        "unit": "nats a picture, and accuracy, on the test pictures after the same steps",
        "n": places.network_seeds,
        "how": f"{SETTING}; same starts and orders. The first network at 224 px is too dear to train here",
    }


@one_thread()
def flipped_test(places: Places) -> Finding:
    """T4's test part flipped at random."""
    test = _test(places)
    plain, drawn = [], []
    for seed in range(places.network_seeds):
        network = small_vgg(places, seed, softmax=False)
        as_is, mirrored = in_batches(network, test.x, 100), in_batches(network, test.x.flip(-1), 100)
        plain.append(accuracy(as_is, test.y))
        for draw in range(places.seeds):
            coins = torch.rand(len(test.y), generator=generator(draw)) < 0.5
            drawn.append(accuracy(torch.where(coins[:, None], mirrored, as_is), test.y) - plain[-1])
    return {
        "tutorial": "T4",
        "mistake": "test part flipped at random",
        "as_the_tutorial": spread([100 * value for value in drawn]),
        "repaired": 0.0,
        "accuracy_without_flips": spread(plain),
        "unit": "points of test accuracy away from the pictures as they are, over draws",
        "n": len(drawn),
        "how": f"{SETTING}; {places.network_seeds} networks, {places.seeds} draws each",
    }


@one_thread()
def scored_in_training_mode(places: Places) -> Finding:
    """T4 never calls eval() before it scores."""
    test = _test(places)
    theirs, ours = [], []
    for seed in range(places.network_seeds):
        network = small_vgg(places, seed, softmax=False)
        ours.append(accuracy(in_batches(network, test.x, 4), test.y))
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        torch.manual_seed(seed)
        theirs.append(accuracy(in_batches(network.train(), test.x, 4), test.y))
        network.eval().load_state_dict(kept)
    return {
        "tutorial": "T4",
        "mistake": "scored in training mode (no eval())",
        "as_the_tutorial": spread(theirs),
        "repaired": spread(ours),
        "difference_points": spread([100 * (a - b) for a, b in zip(theirs, ours, strict=True)]),
        "unit": "test accuracy of the same network",
        "n": places.network_seeds,
        "how": f"{SETTING}; scored in batches of 4 with dropout on and BatchNorm by batch, against evaluation mode",
    }


def padding(places: Places) -> Finding:
    """The shapes of T4's first network, at 224 pixels and at the 32 its loaders give."""
    del places
    return {
        "tutorial": "T4",
        "mistake": "first convolution of a block without padding, pools padded by one",
        "as_the_tutorial": {f"{size} px": first_network_shapes(size) for size in (224, 32)},
        "repaired": {"224 px": [224, 112, 56, 28, 14, 7], "32 px": [32, 16, 8, 4, 2, 1]},
        "unit": "side of the map: input, then after each block's pool",
        "n": 1,
        "how": "forward pass on shapes alone, and what it raises. At 224 px the pools' padding makes up for the "
        "convolutions', so 7 x 7 x 512 holds, though inside a block the maps are 2 smaller than stated",
    }


def first_network_shapes(size: int) -> dict[str, Any]:
    """Sides after each block, inside the blocks, and whether the whole network runs."""
    with torch.device("meta"):
        network, x = CifarFirst(), torch.empty(1, 3, size, size)
    sides, inside = [size], []
    try:
        for block in network.blocks:
            for layer in block:  # type: ignore[union-attr]
                x = layer(x)
                inside += [x.shape[-1]] if isinstance(layer, nn.Conv2d) else []
            sides.append(x.shape[-1])
        network.classifier(x.view(-1, 7 * 7 * 512))
        runs = "runs"
    except RuntimeError as error:
        runs = str(error).splitlines()[0]
    return {"after_pools": sides, "after_convolutions": inside, "outcome": runs}


def two_passes(places: Places) -> Finding:
    """T3 runs the network twice for every batch it scores."""
    del places
    network = fashion_vgg11().eval()
    x, y = torch.rand(128, 1, 224, 224, generator=generator(0)), torch.zeros(128, dtype=torch.long)
    seconds: dict[str, list[float]] = {"once": [], "twice": []}
    with torch.no_grad():
        network(x)
        for _ in range(3):
            start = time.perf_counter()
            outputs = network(x)
            functional.cross_entropy(outputs, y), accuracy(outputs, y)
            middle = time.perf_counter()
            functional.cross_entropy(network(x), y), accuracy(network(x), y)
            seconds["once"].append((middle - start) / len(y))
            seconds["twice"].append((time.perf_counter() - middle) / len(y))
    twice, once = measure.median(seconds["twice"]), measure.median(seconds["once"])
    return {
        "tutorial": "T3",
        "mistake": "network run twice for every scored batch",
        "as_the_tutorial": twice,
        "repaired": once,
        "seconds_lost_in_10_epochs_of_10_000": (twice - once) * 10 * 10_000,
        "unit": "seconds of scoring a picture, median",
        "n": 3,
        "how": "VGG-11 with a quarter of the widths, 128 pictures of 224 px, float32, in turn",
    }


def todays_libraries(places: Places) -> Finding:
    """Lines that today's Python and libraries refuse."""
    del places
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    lines = {
        "ReduceLROnPlateau(verbose=True)": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            verbose=True,  # type: ignore[call-arg]
        ),
        "class name as str(path).split('\\\\')[1], on Linux": lambda: ["48-data/name"][1],
        "the same on Windows": lambda: str(PureWindowsPath("48-data/name")).split("\\")[1],
    }
    outcome = {}
    for line, call in lines.items():
        try:
            call()
            outcome[line] = "runs"
        except (TypeError, IndexError) as error:
            outcome[line] = f"{type(error).__name__}: {error}"
    return {
        "tutorial": "T1, T5",
        "mistake": "lines bound to an old library or to Windows",
        "as_the_tutorial": outcome,
        "repaired": "runs",
        "unit": "outcome",
        "n": 1,
        "how": f"torch {torch.__version__}; torchvision still takes pretrained=True, with a warning",
    }
