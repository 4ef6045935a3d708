"""How much too good a number is that was chosen on what it measures: ants and bees, over seeds.

    python benchmarks/optimism.py HYMENOPTERA --seeds 20

The tutorial keeps the epoch that is best on its 153 validation pictures and reports that accuracy. Here half of them
choose (validation) and the other half measure (test), dealt anew with each seed: the first number is the tutorial's way
of counting, the second an honest one, of the same weights. Their difference is the optimism; its mean over seeds comes
with a 95% interval (of the mean of paired differences). Augmented evaluation, the other tutorials' habit, measures the
same weights on the second half after the training's random crops and mirrors.
"""

import argparse
import csv
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from scipy import stats
from torchvision import transforms

import frostline
import measure

EPOCHS = 25


def main() -> None:
    """Train with each deal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [one_run(options.data, seed, Path(folder)) for seed in range(options.seeds)]
    facts: dict[str, Any] = {"n": options.seeds, "data": options.data.name}
    facts |= {name: statistics.fmean(run[name] for run in runs) for name in ("chosen_on", "honest", "augmented")}
    facts["optimism"], facts["interval"] = change(runs, "chosen_on")
    facts["by_augmenting"], facts["interval_by_augmenting"] = change(runs, "augmented")
    measure.write("optimism", {**facts, "runs": runs})


def change(runs: list[dict[str, Any]], way: str) -> tuple[float, list[float]]:
    """By how much a way of counting differs from the honest one: the mean, and its 95% interval."""
    differences = [run[way] - run["honest"] for run in runs]
    mean = statistics.fmean(differences)
    interval = stats.t.interval(0.95, len(runs) - 1, loc=mean, scale=stats.sem(differences))
    return mean, list(map(float, interval))


def one_run(data: Path, seed: int, home: Path) -> dict[str, Any]:
    """Deal the validation pictures, train a head with mirrored and cropped views, and read both accuracies."""
    table, out = home / f"{seed}.csv", home / f"run{seed}"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        for label in sorted(path.name for path in (data / "train").iterdir()):
            rows.writerows((path, label, "train") for path in sorted((data / "train" / label).iterdir()))
            held = sorted((data / "val" / label).iterdir())
            random.Random(f"{seed}/{label}").shuffle(held)
            rows.writerows((path, label, ("val", "test")[i % 2]) for i, path in enumerate(held))
    flags = ["--stages", f"head:{EPOCHS}", "--augment", "crops:4", "--seed", str(seed), "--out", str(out)]
    measure.frostline("train", str(table), *flags, cache=home / "cache")
    metrics = json.loads((out / "metrics.json").read_text())
    one = {"seed": seed, "chosen_on": metrics["val"]["accuracy"], "honest": metrics["test"]["accuracy"]}
    one["augmented"] = frostline.evaluate(out, str(augmented(table, home / f"augmented{seed}", seed)))["accuracy"]
    print(one, flush=True)
    return one


def augmented(table: Path, target: Path, seed: int) -> Path:
    """Make a folder of the test pictures as the tutorials' training shows its own: random crops, mirrored or not."""
    torch.manual_seed(seed)
    alter = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()])
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                path = target / row["label"] / f"{Path(row['path']).stem}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(row["path"]) as picture:
                    alter(picture.convert("RGB")).save(path)
    return target


if __name__ == "__main__":
    main()
