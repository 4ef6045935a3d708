"""Whether confidence is worth believing: calibration error on test, before and after the temperature.

    python benchmarks/calibration.py SIGN_DIGITS CIFAR10_FOLDER --seeds 10

A head on frozen EfficientNet-Lite0 for each set of pictures, and for `digits`; CIFAR-10 at 64 pixels. The temperature
is fitted on validation and changes no prediction, so accuracy is one number.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from scipy import stats

import measure

MEANS = ("ece_before", "ece_after", "ece_by_chance", "temperature", "accuracy")
HOW = {"digits": ["--image-size", "64"], "cifar": ["--image-size", "64"]}


def main() -> None:
    """Train, and read what each run found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for data in ("digits", *options.data):
            for seed in range(options.seeds):
                results.append(one_run(data, seed, Path(folder)))
                print(results[-1], flush=True)
    names = dict.fromkeys(one["data"] for one in results)
    summary = {name: summed_up([one for one in results if one["data"] == name]) for name in names}
    measure.write("calibration", {"note": options.note, "summary": summary, "results": results})


def summed_up(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, and what the temperature changes in the same run: how often for the better, and a 95% interval."""
    changes = [run["ece_after"] - run["ece_before"] for run in runs]
    interval = stats.t.interval(0.95, len(runs) - 1, loc=statistics.fmean(changes), scale=stats.sem(changes))
    means = {key: statistics.fmean(run[key] for run in runs) for key in MEANS}
    return {
        "n": len(runs),
        **means,
        "fell": sum(change < 0 for change in changes),
        "change": list(map(float, interval)),
    }


def one_run(data: str, seed: int, home: Path) -> dict[str, Any]:
    """Train a head; give what its review says of calibration."""
    name = Path(data).name
    out = home / f"{name}-{seed}"
    flags = ["--stages", "head:10", "--seed", str(seed), "--out", str(out), *HOW.get(name, [])]
    measure.frostline("train", data, *flags, cache=home / "cache")
    review, metrics = (json.loads((out / f"{part}.json").read_text()) for part in ("review", "metrics"))
    assert review["calibration"]["split"] == "test"
    return {"data": name, "seed": seed, **review["calibration"], "accuracy": metrics["test"]["accuracy"]}


if __name__ == "__main__":
    main()
