"""How much too good a number is that was chosen on what it measures: ants and bees, over seeds.

    python benchmarks/optimism.py HYMENOPTERA --seeds 20

The tutorial keeps the epoch that is best on its 153 validation pictures and reports that accuracy. Here half of them
choose (validation) and the other half measure (test), dealt anew with each seed: the first number is the tutorial's way
of counting, the second an honest one, of the same weights. Their difference is the optimism; its mean over seeds comes
with a 95% interval (of the mean of paired differences).
"""

import argparse
import csv
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from scipy import stats

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
    differences = [run["chosen_on"] - run["honest"] for run in runs]
    interval = stats.t.interval(0.95, len(runs) - 1, loc=statistics.fmean(differences), scale=stats.sem(differences))
    facts: dict[str, Any] = {"n": options.seeds, "data": options.data.name}
    facts |= {name: statistics.fmean(run[name] for run in runs) for name in ("chosen_on", "honest")}
    facts |= {"optimism": statistics.fmean(differences), "interval": list(map(float, interval)), "runs": runs}
    print({name: facts[name] for name in ("chosen_on", "honest", "optimism", "interval")})
    measure.write("optimism", facts)


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
    print(one, flush=True)
    return one


if __name__ == "__main__":
    main()
