"""Whether 95% intervals hold the truth as often as they say: 1,000 simulated test sets for each size and accuracy.

    python benchmarks/intervals.py

A test set is drawn from five classes of unequal size, each with its own recall, mistakes spread evenly over the others;
the truth of a metric is its value of an endless test set. The accuracy's interval is Wilson's, those of balanced
accuracy and macro F1 are the bootstrap's.
"""

import numpy as np

import measure
from frostline.evaluation.intervals import balanced_accuracy, bootstrap, macro_f1, wilson

SETS = 1000
SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
"""Of the classes."""
SPREAD = np.array([0.02, 0.01, 0.0, -0.01, -0.02])
"""Of the classes' recalls about their mean."""
BOOTSTRAPPED = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}
CASES = [(count, accuracy) for count in (50, 300, 1000) for accuracy in (0.7, 0.9, 0.95)]


def main() -> None:
    """Simulate, count, write."""
    rows = [covered(count, accuracy) for count, accuracy in CASES]
    measure.write("intervals", {"n": SETS, "rows": rows})


def covered(count: int, accuracy: float) -> dict[str, float]:
    """The share of simulated test sets whose interval holds the truth, by metric."""
    cells = _cells(accuracy)
    endless = [1e9 * part[None] for part in (np.diag(cells), cells.sum(axis=1), cells.sum(axis=0))]
    truth = {"accuracy": float(np.trace(cells))}
    truth |= {name: float(statistic(*endless)[0]) for name, statistic in BOOTSTRAPPED.items()}
    draw, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(SETS):
        confusion = draw.multinomial(count, cells.ravel()).reshape(cells.shape)
        intervals = {
            "accuracy": wilson(int(np.trace(confusion)), count),
            **{name: bootstrap(statistic, confusion) for name, statistic in BOOTSTRAPPED.items()},
        }
        for name, (low, high) in intervals.items():
            held[name] += low <= truth[name] <= high
    row = {"count": count, "mean_recall": accuracy, **{name: times / SETS for name, times in held.items()}}
    print(row, flush=True)
    return row


def _cells(accuracy: float) -> np.ndarray:
    """Probabilities of the confusion matrix's cells."""
    recalls = accuracy + SPREAD
    off = (1 - recalls) / (len(SHARES) - 1)
    cells = np.repeat(off[:, None], len(SHARES), axis=1)
    np.fill_diagonal(cells, recalls)
    return cells * SHARES[:, None]


if __name__ == "__main__":
    main()
