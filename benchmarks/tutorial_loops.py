"""The five tutorials' training loops as they teach them, mistakes included: accuracy per epoch and seconds per picture.

    python benchmarks/tutorial_loops.py SYSTEM --data D [--weights W] --steps 20 --json F   # timing, minutes at most
    python benchmarks/tutorial_loops.py SYSTEM --data D [--weights W] --epochs 2 --json F   # whole epochs

Float32, NCHW, torch's own number of threads. Without --epochs and --steps the whole tutorial runs. With --steps, one
more step goes first as a warm-up. The seconds of the whole tutorial are epochs x (training pictures x seconds + test
pictures x seconds) and marked as extrapolated unless it ran in full.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch

import measure
from tutorial_base import Loop
from tutorial_systems import SYSTEMS


def main() -> None:
    """Run one system and write what it gave."""
    options = arguments()
    if options.seed is not None:
        torch.manual_seed(options.seed)
    kind, variant = SYSTEMS[options.system]
    load = os.getloadavg()[0]
    loop = kind(variant, options.data or kind.data, options.weights or kind.weights)
    count = options.epochs or loop.epochs
    epochs = time_steps(loop, options.steps) if options.steps else run_epochs(loop, count)
    result = {
        "what": options.system,
        "tutorial": loop.tutorial,
        "notes": loop.notes,
        "threads": torch.get_num_threads(),
        "load_before": load,
        "seed": torch.initial_seed(),
        "n": {"epochs": len(epochs), "steps_per_epoch": options.steps},
        "pictures": sizes(loop),
        "epochs": epochs,
        "best_epoch_on_the_evaluated_set": best(epochs),
        **whole_tutorial(loop, epochs, full=not options.steps and len(epochs) == loop.epochs),
    }
    measure.write(f"tutorial_loops/{options.system}", result, options.json)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--data", type=Path, help="the pictures (default: beside the checkout)")
    parser.add_argument("--weights", type=Path, help="safetensors with torchvision's names (default: same)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, help="epochs to run (default: the tutorial's)")
    length.add_argument("--steps", type=int, help="time so many steps of training and of scoring in each phase")
    parser.add_argument("--seed", type=int, help="torch's seed (the tutorials set none)")
    parser.add_argument("--json", type=Path, help="where to write (default: results/tutorial_loops/SYSTEM.json)")
    return parser.parse_args()


def run_epochs(loop: Loop, count: int) -> list[dict[str, Any]]:
    """The first epochs of the tutorial, whole."""
    rows = []
    for epoch in range(count):
        loop.begin_epoch(epoch)
        train = loop.train_epoch()
        test = loop.test_epoch() if loop.scored_each_epoch or epoch == count - 1 else None
        rows.append(row(loop, epoch, train, test))
        loop.end_epoch(test)
    return rows


def time_steps(loop: Loop, steps: int) -> list[dict[str, Any]]:
    """Some steps of the first epoch of each phase."""
    rows = []
    for epochs in loop.phases().values():
        loop.begin_epoch(epochs[0])
        rows.append(row(loop, epochs[0], loop.train_epoch(steps), loop.test_epoch(steps)))
    return rows


def row(loop: Loop, epoch: int, train: dict[str, float], test: dict[str, float] | None) -> dict[str, Any]:
    """One epoch's figures, told as they come."""
    phase = next(name for name, epochs in loop.phases().items() if epoch in epochs or epoch >= loop.epochs)
    told = {"epoch": epoch + 1, "phase": phase, "rate": loop.optimizer.param_groups[0]["lr"]}
    told |= {"train": train, "test": test}
    print(json.dumps(told), flush=True)
    return told


def sizes(loop: Loop) -> dict[str, int]:
    """Pictures in both parts."""
    return {"train": len(loop.train_loader.dataset), "test": len(loop.test_loader.dataset)}  # type: ignore[arg-type]


def best(epochs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The epoch the tutorials keep: the first of the highest test accuracy."""
    scored = [one for one in epochs if one["test"]]
    if not scored:
        return None
    found = max(scored, key=lambda one: one["test"]["accuracy"])
    return {"epoch": found["epoch"], "test_accuracy": found["test"]["accuracy"]}


def whole_tutorial(loop: Loop, epochs: list[dict[str, Any]], *, full: bool) -> dict[str, Any]:
    """Seconds per picture by phase, and of all epochs of the tutorial together; None where a phase was not measured."""
    counts = sizes(loop)
    per_picture: dict[str, dict[str, float | None]] = {}
    total: float | None = 0.0
    for phase, planned in loop.phases().items():
        rows = [one for one in epochs if one["phase"] == phase]
        train = _median([one["train"]["seconds_per_picture"] for one in rows])
        test = _median([one["test"]["seconds_per_picture"] for one in rows if one["test"]])
        per_picture[phase] = {"train": train, "test": test}
        if total is None or train is None or test is None:
            total = None
            continue
        tests = len(planned) if loop.scored_each_epoch else 1
        total += len(planned) * counts["train"] * train + tests * counts["test"] * test
    if full:
        total = sum(one["train"]["seconds"] + (one["test"]["seconds"] if one["test"] else 0.0) for one in epochs)
    return {
        "seconds_per_picture": per_picture,
        "tutorial_epochs": loop.epochs,
        "seconds_whole_tutorial": total,
        "extrapolated": not full,
    }


def _median(values: list[float]) -> float | None:
    return measure.median(values) if values else None


if __name__ == "__main__":
    main()
