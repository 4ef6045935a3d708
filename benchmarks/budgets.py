"""What `--budget` makes of a time: wall clock of the whole process, what was chosen, accuracy.

    python benchmarks/budgets.py HYMENOPTERA SIGN_DIGITS --rounds 3

Each round is a seed; it runs every budget on every set of pictures, each from an empty store. Timings of engines are
kept from one run to the next, as on a user's machine.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import measure

BUDGETS = {"30s": 30.0, "60s": 60.0, "5m": 300.0}


def main() -> None:
    """Run all and write medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--budgets", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.rounds):
            for data in options.data:
                for budget in options.budgets:
                    runs.append(one_run(Path(folder), data, budget, seed))
                    print(runs[-1], flush=True)
    cases = [(data.name, budget) for data in options.data for budget in options.budgets]
    measure.write("budgets", {"n": options.rounds, "cases": [summary(runs, *case) for case in cases], "runs": runs})


def one_run(home: Path, data: Path, budget: str, seed: int) -> dict[str, Any]:
    """Train once within a budget."""
    out, cache = home / "run", home / "cache"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(cache / "activations", ignore_errors=True)
    flags = ["--budget", budget, "--seed", str(seed), "--out", str(out)]
    done = measure.frostline("train", str(data), *flags, cache=cache)
    metrics = json.loads((out / "metrics.json").read_text())
    return {
        "data": data.name,
        "budget": budget,
        "seed": seed,
        "seconds": round(done.seconds, 1),
        "share_of_budget": round(done.seconds / BUDGETS[budget], 2),
        "chosen": next(line for line in done.output.splitlines() if line.startswith("budget")),
        "val": metrics["val"]["accuracy"],
        "test": metrics["test"]["accuracy"],
        "epochs": len((out / "results.csv").read_text().splitlines()) - 1,
    }


def summary(runs: list[dict[str, Any]], data: str, budget: str) -> dict[str, Any]:
    """Medians over the rounds of one case, and the longest time."""
    these = [run for run in runs if (run["data"], run["budget"]) == (data, budget)]
    tested = [run["test"] for run in these if run["test"] is not None]
    return {
        "data": data,
        "budget": budget,
        "seconds": measure.median([run["seconds"] for run in these]),
        "longest": max(run["seconds"] for run in these),
        "val": measure.median([run["val"] for run in these]),
        "test": measure.median(tested) if tested else None,
    }


if __name__ == "__main__":
    main()
