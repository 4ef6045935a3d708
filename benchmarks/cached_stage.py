"""A stage on stored activations beside the same stage that computes its frozen layers in every epoch, in turn.

    python benchmarks/cached_stage.py HYMENOPTERA --vgg16 WEIGHTS --resnet18 WEIGHTS --rounds 5

Block 5 of VGG-16 and layer 4 of ResNet-18 train at 224 pixels for three epochs; compared are the pictures a second of
the epochs after the first. The arithmetic bound is the work of all layers over that of those that train: a trained
layer counts three times, forward and both gradients.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import measure

STAGES = {"vgg16": "block5", "resnet18": "layer4"}
BOUNDS = {"vgg16": 4.4, "resnet18": 2.1}
EPOCHS = 3


def main() -> None:
    """Alternate the two and write ratios of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--vgg16", type=Path, required=True)
    parser.add_argument("--resnet18", type=Path, required=True)
    parser.add_argument("--engine", default="auto", choices=["auto", "torch", "openvino"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cases = {}
    for model in STAGES:
        weights = getattr(options, model)
        rounds = [
            {mode: one_run(options.data, model, weights, options.engine, mode) for mode in ("disk", "off")}
            for _ in range(options.rounds)
        ]
        cases[model] = summary(model, rounds)
        print(model, {name: value for name, value in cases[model].items() if name != "rounds"}, flush=True)
    measure.write(measure.by_processor("cached_stage"), {"n": options.rounds, "cases": cases})


def one_run(data: Path, model: str, weights: Path, engine: str, mode: str) -> dict[str, Any]:
    """Train once from an empty store; speed after the first epoch, accuracy, what the stage was to take and took."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        what = ["--model", model, "--weights", str(weights), "--stages", f"{STAGES[model]}:{EPOCHS}"]
        how = ["--engine", engine, "--feature-cache", mode, "--out", str(out)]
        done = measure.frostline("train", str(data), *what, *how, cache=Path(folder) / "cache")
        metrics = json.loads((out / "metrics.json").read_text())
        speeds = measure.epoch_speeds(out)
    (stage,) = metrics["plan"]
    return {
        "images_per_second": measure.median(speeds[1:]),
        "seconds": done.seconds,
        "val": metrics["val"]["accuracy"],
        "engine": metrics["activations"]["engine"],
        "stage_priced_seconds": stage["priced_seconds"],
        "stage_seconds": stage["seconds"],
    }


def summary(model: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Medians and their ratio."""
    speeds = {mode: measure.median([one[mode]["images_per_second"] for one in rounds]) for mode in rounds[0]}
    return {
        "stage": STAGES[model],
        "median_images_per_second": speeds,
        "times_faster": speeds["disk"] / speeds["off"],
        "arithmetic_bound": BOUNDS[model],
        "val": {mode: [one[mode]["val"] for one in rounds] for mode in rounds[0]},
        "rounds": rounds,
    }


if __name__ == "__main__":
    main()
