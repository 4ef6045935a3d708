"""How much of what was planted is found: copies across splits, wrong labels, pictures that show nothing.

    python benchmarks/audit/audit.py HYMENOPTERA SIGN_DIGITS --seeds 3

Every fault is planted in a copy of its own. Copies: 60 altered training pictures put into validation and test, of six
kinds; recall is the share found as leaks, precision the share of the leaks found that were planted or are there without
planting and were looked at (`--known`: a CSV file of such pairs, a, b). Labels: 5% of the training labels flipped;
recall and precision of `label_issues`, which is of training and validation pictures, at EfficientNet-Lite0's
activations.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from plant import KINDS, copy_split, plant_blanks, plant_near_duplicates, plant_wrong_labels

import measure

COPIES, WRONG = 60, 0.05


def main() -> None:
    """Plant, look, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--known", type=Path, help="pairs that are copies without planting")
    options = parser.parse_args()
    known = _read_pairs(options.known) if options.known else set()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for data in options.data:
            for seed in range(options.seeds):
                one = {"data": data.name, "seed": seed}
                one |= {"copies": copies(data, home, seed, known), "labels": labels(data, home, seed)}
                one |= {"blanks": blanks(data, home, seed)}
                results.append(one)
                print(one, flush=True)
    measure.write("audit", {"copies": COPIES, "wrong_labels": WRONG, "n": options.seeds, "results": results})


def copies(data: Path, home: Path, seed: int, known: set[frozenset[str]]) -> dict[str, Any]:
    """Recall by kind, and precision, of leaks."""
    target = home / f"copies-{data.name}-{seed}"
    copy_split(data, target, seed)
    planted = plant_near_duplicates(target, COPIES, seed)
    found = inspect(target, home)
    pairs = {frozenset((leak["a"], leak["b"])) for leak in found["leaks"]}
    of_kind = {kind: [frozenset((a, b)) in pairs for a, b, its in planted if its == kind] for kind in KINDS}
    expected = {frozenset((a, b)) for a, b, _ in planted}
    other = sorted(sorted(pair) for pair in pairs - expected - known)
    return {
        "recall": sum(map(sum, of_kind.values())) / len(planted),
        "by_kind": {kind: sum(hits) / len(hits) for kind, hits in of_kind.items()},
        "precision": len(pairs & (expected | known)) / max(1, len(pairs)),
        "other_pairs": other,
        "seconds": found["seconds"],
    }


def labels(data: Path, home: Path, seed: int) -> dict[str, Any]:
    """Recall and precision of label issues among the training pictures."""
    target, run = home / f"labels-{data.name}-{seed}", home / f"run-{data.name}-{seed}"
    copy_split(data, target, seed)
    moved = plant_wrong_labels(target, WRONG, seed)
    flags = ["--stages", "head:5", "--seed", str(seed), "--out", str(run)]
    measure.frostline("train", str(target), *flags, cache=home / "cache")
    issues = json.loads((run / "review.json").read_text())["label_issues"]
    training = [issue for issue in issues if issue["path"].startswith("train/")]
    hits = [issue for issue in training if issue["path"] in moved]
    right = [issue for issue in hits if moved[issue["path"]] == issue["suggested"]]
    return {
        "planted": len(moved),
        "found": len(training),
        "recall": len(hits) / len(moved),
        "precision": len(hits) / max(1, len(training)),
        "true_class_suggested": len(right) / max(1, len(hits)),
    }


def blanks(data: Path, home: Path, seed: int) -> dict[str, Any]:
    """How many of the pictures that show nothing are among the outliers."""
    target = home / f"blanks-{data.name}-{seed}"
    copy_split(data, target, seed)
    planted = set(plant_blanks(target, seed))
    outliers = {one["path"] for one in inspect(target, home)["outliers"]}
    return {"recall": len(planted & outliers) / len(planted), "others": sorted(outliers - planted)}


def inspect(data: Path, home: Path) -> dict[str, Any]:
    """What `frostline inspect` finds, and how long it takes."""
    out = home / "found.json"
    done = measure.frostline("inspect", str(data), "--json", str(out), cache=home / "cache")
    return {**json.loads(out.read_text()), "seconds": done.seconds}


def _read_pairs(path: Path) -> set[frozenset[str]]:
    with path.open(newline="") as file:
        return {frozenset((row["a"], row["b"])) for row in csv.DictReader(file)}


if __name__ == "__main__":
    main()
