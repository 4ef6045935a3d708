"""Validation accuracy over seconds of several runs, in one plot: frozen only, staged, from scratch, best.

python benchmarks/staged_curves.py OUT.png frozen=RUN staged=RUN scratch=RUN best=RUN
"""

import csv
import json
import sys
from itertools import accumulate
from pathlib import Path

from matplotlib.figure import Figure

COLOURS = ("#7a8ba3", "#0b6bcb", "#b0413e", "#2e8540", "#8a5fbf")


def main() -> None:
    """Draw the curves."""
    out, *named = sys.argv[1:]
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for colour, (name, _, folder) in zip(COLOURS, (one.partition("=") for one in named), strict=False):
        seconds, accuracies = curve(Path(folder))
        axes.plot(seconds, accuracies, color=colour, marker="o", markersize=3.5, label=f"{name}: {max(accuracies):.1%}")
    axes.set_xlabel("seconds since the start of the process, evaluation after each epoch included")
    axes.set_ylabel("validation accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", title="highest")
    figure.savefig(out, dpi=120)


def curve(run: Path) -> tuple[list[float], list[float]]:
    """Seconds at the end of each epoch, and its validation accuracy."""
    with (run / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = json.loads((run / "metrics.json").read_text())["seconds"]
    before = parts["import"] + parts["audit"] + parts["activations"]
    ends = list(accumulate((float(row["seconds"]) for row in rows), initial=before))[1:]
    return ends, [float(row["val_accuracy"]) for row in rows]


if __name__ == "__main__":
    main()
