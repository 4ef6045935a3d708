"""Accuracy of frozen heads: EfficientNet-Lite0 on hymenoptera, and linear against multi on sign-digits over five seeds.

    python benchmarks/heads.py HYMENOPTERA SIGN_DIGITS

On sign-digits each seed is another split (70/15/15); the figures are of its test part.
"""

import argparse
import json
import tempfile
from pathlib import Path

import measure

SEEDS = range(5)


def main() -> None:
    """Train all and write the accuracies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("hymenoptera", type=Path)
    parser.add_argument("sign_digits", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        insects = train(options.hymenoptera, root, "insects", head="linear", seed=0)
        heads = {
            head: [train(options.sign_digits, root, f"{head}-{seed}", head=head, seed=seed) for seed in SEEDS]
            for head in ("linear", "multi")
        }
    test = {head: [one["test"]["accuracy"] for one in runs] for head, runs in heads.items()}
    val = {head: [one["val"]["accuracy"] for one in runs] for head, runs in heads.items()}
    mean = {head: sum(values) / len(values) for head, values in test.items()}
    measure.write(
        "heads",
        {
            "what": "efficientnet_lite0, head:25",
            "hymenoptera_val_accuracy": insects["val"]["accuracy"],
            "sign_digits": {
                "seeds": list(SEEDS),
                "test_accuracy": test,
                "val_accuracy": val,
                "mean_test_accuracy": mean,
            },
            "multi_over_linear_points": 100 * (mean["multi"] - mean["linear"]),
        },
    )


def train(data: Path, root: Path, name: str, *, head: str, seed: int) -> dict[str, dict[str, float]]:
    """Train once, with the store shared by all."""
    options = ["--stages", "head:25", "--head", head, "--seed", str(seed), "--out", str(root / name)]
    measure.frostline("train", str(data), *options, cache=root / "cache")
    return json.loads((root / name / "metrics.json").read_text())


if __name__ == "__main__":
    main()
