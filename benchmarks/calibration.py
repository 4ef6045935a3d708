"""Whether confidence is worth believing: calibration error on test, before and after the temperature.

    python benchmarks/calibration.py SIGN_DIGITS CIFAR10_FOLDER --seeds 16

A head on frozen EfficientNet-Lite0 for each set of pictures, and for `digits`; with a quarter of the seeds, the same
with its last two blocks thawed for ten epochs, and of CIFAR-10, at 64 pixels, the head. The temperature is fitted on
validation and changes no prediction, so accuracy is one number.

A few hundred test pictures have an error of some points by chance alone, in which a change drowns. So the predictions
of all runs of a set are also taken together, each with its own run's temperature, and the error measured of them all;
its interval is of resampled runs, as their number is what the answer hangs on. The log loss, which the temperature is
fitted by, needs no bins; its change has Student's interval over the runs.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import measure
from frostline.evaluation.calibration import BINS
from frostline.evaluation.intervals import RESAMPLES, between_quantiles

MEANS = ("ece_before", "ece_after", "ece_by_chance", "log_loss_before", "log_loss_after", "temperature", "accuracy")
STAGES = {"head": "head:10", "thawed": "head:3, blocks.5:10"}
HOW = {"digits": ["--image-size", "64"], "cifar": ["--image-size", "64"]}


def main() -> None:
    """Train, and read what each run found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for data in ("digits", *options.data):
            is_large = Path(data).name == "cifar"
            for kind in ["head"] if is_large else STAGES:
                for seed in range(options.seeds // (4 if is_large or kind == "thawed" else 1)):
                    results.append(one_run(data, kind, seed, Path(folder)))
                    print({key: results[-1][key] for key in ("data", "kind", "seed", *MEANS)}, flush=True)
    kinds = dict.fromkeys((one["data"], one["kind"]) for one in results)
    summary = [
        {"data": data, "kind": kind} | summed_up([one for one in results if (one["data"], one["kind"]) == (data, kind)])
        for data, kind in kinds
    ]
    measure.write("calibration", {"note": options.note, "summary": summary, "results": results})


def summed_up(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the runs, in how many the error fell, and the error of all predictions together."""
    before, after = (np.array([run[key] for run in runs]) for key in ("gaps_before", "gaps_after"))
    count = sum(run["count"] for run in runs)
    drawn = np.random.default_rng(0).integers(0, len(runs), (RESAMPLES, len(runs)))
    changes = (together(after[drawn]) - together(before[drawn])) / count
    losses = [run["log_loss_after"] - run["log_loss_before"] for run in runs]
    by_student = stats.t.interval(0.95, len(runs) - 1, loc=statistics.fmean(losses), scale=stats.sem(losses))
    return {
        "n": len(runs),
        **{key: statistics.fmean(run[key] for run in runs) for key in MEANS},
        "fell": sum(run["ece_after"] < run["ece_before"] for run in runs),
        "log_loss_change": list(map(float, by_student)),
        "together": {
            "count": count,
            "ece_before": float(together(before)) / count,
            "ece_after": float(together(after)) / count,
            "change": list(between_quantiles(changes)),
        },
    }


def gaps(bins: Sequence[dict[str, float]]) -> list[float]:
    """By bin, (bins,): how many more pictures were right than their confidences add up to."""
    found = [0.0] * BINS
    for one in bins:
        found[round(one["low"] * BINS)] = round(one["count"] * (one["accuracy"] - one["confidence"]), 4)
    return found


def together(gaps_RB: np.ndarray) -> np.ndarray:
    """The expected calibration error, times the pictures, of runs taken together: (..., runs, bins) to (...)."""
    total: np.ndarray = np.abs(gaps_RB.sum(axis=-2)).sum(axis=-1)
    return total


def one_run(data: str, kind: str, seed: int, home: Path) -> dict[str, Any]:
    """Train; give what the run's review says of calibration."""
    name = Path(data).name
    out = home / f"{name}-{kind}-{seed}"
    flags = ["--stages", STAGES[kind], "--seed", str(seed), "--out", str(out), *HOW.get(name, [])]
    measure.frostline("train", data, *flags, cache=home / "cache")
    review, metrics = (json.loads((out / f"{part}.json").read_text()) for part in ("review", "metrics"))
    assert review["calibration"]["split"] == "test"
    found, test = review["calibration"], metrics["test"]
    by_bin = {"gaps_before": gaps(found.pop("reliability_before")), "gaps_after": gaps(test["reliability"])}
    return {
        "data": name,
        "kind": kind,
        "seed": seed,
        "count": test["count"],
        **found,
        **by_bin,
        "accuracy": test["accuracy"],
    }


if __name__ == "__main__":
    main()
