"""Whether 95% intervals hold the truth as often as they say: 1,000 simulated test sets for each size and accuracy.

    python benchmarks/intervals.py

A test set is drawn from five classes of unequal size, each with its own recall, mistakes spread evenly over the others;
the truth of a metric is its value of an endless test set. The accuracy's interval is Wilson's, that of balanced
accuracy Price and Bonett's, that of macro F1 the bootstrap's. The area under the ROC curve (Newcombe's interval) is
that of scores of two normal distributions, a fifth of the pictures of the class; the log loss (bootstrap) that of
probabilities of the true class drawn from a beta distribution. Their area and mean are those of the recall.
"""

import numpy as np
from scipy.special import digamma
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

import measure
from frostline.evaluation.intervals import bootstrap, macro_f1, of_area, of_mean, of_mean_recall, wilson

SETS = 1000
SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
"""Of the classes."""
SPREAD = np.array([0.02, 0.01, 0.0, -0.01, -0.02])
"""Of the classes' recalls about their mean."""
CASES = [(count, accuracy) for count in (50, 300, 1000) for accuracy in (0.7, 0.9, 0.95)]


def main() -> None:
    """Simulate, count, write."""
    rows = [covered(count, accuracy) | covered_scores(count, accuracy) for count, accuracy in CASES]
    measure.write("intervals", {"n": SETS, "rows": rows})


def covered(count: int, accuracy: float) -> dict[str, float]:
    """The share of simulated test sets whose interval holds the truth, by metric."""
    cells = _cells(accuracy)
    endless = [1e9 * part[None] for part in (np.diag(cells), cells.sum(axis=1), cells.sum(axis=0))]
    recalls = np.diag(cells) / cells.sum(axis=1)
    truth = {"accuracy": float(np.trace(cells)), "balanced_accuracy": float(recalls.mean())}
    truth["macro_f1"] = float(macro_f1(*endless)[0])
    draw, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(SETS):
        confusion = draw.multinomial(count, cells.ravel()).reshape(cells.shape)
        intervals = {
            "accuracy": wilson(int(np.trace(confusion)), count),
            "balanced_accuracy": of_mean_recall(confusion),
            "macro_f1": bootstrap(macro_f1, confusion),
        }
        for name, (low, high) in intervals.items():
            held[name] += low <= truth[name] <= high
    return {"count": count, "mean_recall": accuracy, **{name: times / SETS for name, times in held.items()}}


def covered_scores(count: int, area: float) -> dict[str, float]:
    """The same of an area under the ROC curve, and of a log loss whose probabilities have the area as their mean."""
    positives = count // 5
    labels, shift = np.repeat([1, 0], [positives, count - positives]), np.sqrt(2) * norm.ppf(area)
    a, b = 3 * area, 3 * (1 - area)
    truth = {"auroc": area, "log_loss": float(digamma(a + b) - digamma(a))}
    draw, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(SETS):
        found = float(roc_auc_score(labels, draw.normal(shift * labels)))
        intervals = {
            "auroc": of_area(found, positives, count - positives),
            "log_loss": of_mean(-np.log(np.maximum(draw.beta(a, b, count), 1e-12))),
        }
        for name, (low, high) in intervals.items():
            held[name] += low <= truth[name] <= high
    return {name: times / SETS for name, times in held.items()}


def _cells(accuracy: float) -> np.ndarray:
    """Probabilities of the confusion matrix's cells."""
    recalls = accuracy + SPREAD
    off = (1 - recalls) / (len(SHARES) - 1)
    cells = np.repeat(off[:, None], len(SHARES), axis=1)
    np.fill_diagonal(cells, recalls)
    return cells * SHARES[:, None]


if __name__ == "__main__":
    main()
