"""Commands that people wait for, as whole processes: help, one prediction, a second run with another head.

    python benchmarks/whole_commands.py HYMENOPTERA --rounds 5

The first run stores the activations of EfficientNet-Lite0 for a linear head; the second trains a hidden layer on them.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import measure


def main() -> None:
    """Measure each in turn and write medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [one_round(Path(folder), options.data) for _ in range(options.rounds)]
    names = [name for name, value in rounds[0].items() if isinstance(value, float)]
    medians = {name: measure.median([one[name] for one in rounds]) for name in names}
    measure.write(
        measure.by_processor("whole_commands"), {"n": options.rounds, "median_seconds": medians, "rounds": rounds}
    )


def one_round(home: Path, data: Path) -> dict[str, Any]:
    """Seconds of each command; the store is empty before the first run."""
    for name in ("first", "second", "cache"):
        shutil.rmtree(home / name, ignore_errors=True)
    first, second = (train(home, data, name, head) for name, head in (("first", "linear"), ("second", "mlp")))
    picture = next(path for path in sorted((data / "val").rglob("*.jpg")))
    predict = measure.frostline("predict", str(home / "first"), str(picture), cache=home / "cache")
    assert picture.name in predict.output, predict.output
    activations = json.loads((home / "second" / "metrics.json").read_text())["activations"]
    one = {
        "help": measure.frostline("--help", cache=home / "cache").seconds,
        "predict_one_picture": predict.seconds,
        "first_run": first,
        "second_run_other_head": second,
        "rows_computed_by_the_second": activations["computed"],
    }
    print(one, flush=True)
    return one


def train(home: Path, data: Path, name: str, head: str) -> float:
    """Train a head for ten epochs; seconds of the whole process."""
    flags = ["--stages", "head:10", "--head", head, "--out", str(home / name)]
    return measure.frostline("train", str(data), *flags, cache=home / "cache").seconds


if __name__ == "__main__":
    main()
