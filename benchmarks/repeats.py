"""What five folds with five seeds cost beside a run, on stored activations.

    python benchmarks/repeats.py SIGN_DIGITS --rounds 3

The first run stores the activations; then a run without and one with the 25 trainings take turns.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import measure

STAGES, FOLDS, SEEDS = "head:5", 5, 5


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    again = ["--folds", str(FOLDS), "--seeds", str(SEEDS)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        one_run(options.data, home, "first", [])
        alone, repeated = [], []
        for number in range(options.rounds):
            alone.append(one_run(options.data, home, f"alone{number}", []))
            repeated.append(one_run(options.data, home, f"again{number}", again))
    seconds = {
        "alone": measure.median([one["seconds"] for one in alone]),
        "with_repeats": measure.median([one["seconds"] for one in repeated]),
        "repeats": measure.median([b["seconds"] - a["seconds"] for a, b in zip(alone, repeated, strict=True)]),
    }
    facts = {"data": options.data.name, "stages": STAGES, "n": options.rounds, "seconds": seconds}
    measure.write("repeats", {**facts, **{key: repeated[0][key] for key in ("folds", "val", "test")}})


def one_run(data: Path, home: Path, name: str, flags: list[str]) -> dict[str, Any]:
    """Train; give seconds of the whole process, and what was measured."""
    out = home / name
    command = ["train", str(data), "--stages", STAGES, *flags, "--out", str(out)]
    done = measure.frostline(*command, cache=home / "cache")
    metrics = json.loads((out / "metrics.json").read_text())
    print(name, done.seconds, flush=True)
    parts = {split: {key: metrics[split][key] for key in ("accuracy", "interval")} for split in ("val", "test")}
    return {"seconds": done.seconds, "folds": metrics["folds"], **parts}


if __name__ == "__main__":
    main()
