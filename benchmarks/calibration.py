"""Whether confidence is worth believing: calibration error on test, before and after the temperature.

    python benchmarks/calibration.py SIGN_DIGITS CIFAR10_FOLDER --seeds 3

A head on frozen EfficientNet-Lite0 for each set of pictures, and for `digits`; CIFAR-10 at 64 pixels. The temperature
is fitted on validation and changes no prediction, so accuracy is one number.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import measure

HOW = {"digits": ["--image-size", "64"], "cifar": ["--image-size", "64"]}


def main() -> None:
    """Train, and read what each run found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for data in ("digits", *options.data):
            for seed in range(options.seeds):
                results.append(one_run(data, seed, Path(folder)))
                print(results[-1], flush=True)
    names = dict.fromkeys(one["data"] for one in results)
    medians = {
        name: {
            key: measure.median([one[key] for one in results if one["data"] == name])
            for key in ("ece_before", "ece_after", "temperature", "accuracy")
        }
        for name in names
    }
    measure.write("calibration", {"n": options.seeds, "medians": medians, "results": results})


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
