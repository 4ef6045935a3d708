"""What a model said of each picture: `predictions.csv`, and the mistakes in it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from frostline.data.index import Image
from frostline.errors import BundleError
from frostline.evaluation.compare import Comparison, compare

MOST_MISTAKES = 50


@dataclass(frozen=True, slots=True)
class Said:
    """A picture, its label, and what the model says that it is."""

    path: str
    digest: str
    split: str
    label: str
    predicted: str
    confidence: float
    """Probability of what is predicted."""
    of_label: float
    """Probability of the label."""

    @property
    def is_right(self) -> bool:
        """Whether it says the label."""
        return self.label == self.predicted


def say(images: Sequence[Image], classes: Sequence[str], probabilities_NK: np.ndarray) -> list[Said]:
    """Put into words what a model says of pictures."""
    return [
        Said(
            image.path,
            image.digest,
            image.split,
            classes[image.label],
            classes[place],
            float(probabilities_K[place]),
            float(probabilities_K[image.label]),
        )
        for image, probabilities_K, place in zip(images, probabilities_NK, probabilities_NK.argmax(axis=1), strict=True)
    ]


def predictions_csv(said: Sequence[Said]) -> str:
    """Write predictions as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in fields(Said)])
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)] for row in said)
    return text.getvalue()


def read_predictions(path: Path) -> list[Said]:
    """Read `predictions.csv` back.

    Raises:
        BundleError: it is missing or is not what a run writes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_from_row(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"cannot read {path}: {error}; give the folder of a run that has finished") from None


def _from_row(row: dict[str, str]) -> Said:
    return Said(
        row["path"],
        row["digest"],
        row["split"],
        row["label"],
        row["predicted"],
        float(row["confidence"]),
        float(row["of_label"]),
    )


def worst_mistakes(said: Sequence[Said]) -> list[dict[str, Any]]:
    """The mistakes that the model is surest of, plain values."""
    wrong = sorted((row for row in said if not row.is_right), key=lambda row: -row.confidence)
    return [
        {"path": row.path, "split": row.split, "given": row.label, "predicted": row.predicted}
        | {"confidence": row.confidence, "of_given": row.of_label}
        for row in wrong[:MOST_MISTAKES]
    ]


def compare_predictions(first: Sequence[Said], second: Sequence[Said]) -> tuple[str, Comparison]:
    """Compare two runs on the pictures that both kept for testing, or, where there are none, for validation.

    Returns:
        The split, and the comparison.

    Raises:
        BundleError: they have no such picture in common.
    """
    for split in ("test", "val"):
        of_first, of_second = ({row.digest: row for row in said if row.split == split} for said in (first, second))
        if common := sorted(of_first.keys() & of_second.keys()):
            right = (np.array([said[digest].is_right for digest in common]) for said in (of_first, of_second))
            return split, compare(*right)
    raise BundleError(
        "the runs have no test or validation picture in common, so they cannot be compared; "
        "train both on the same DATA with the same --seed"
    )
