"""A head on a frozen network, 25 epochs, whole process: frostline against the plain loop, in turn.

    python benchmarks/frozen_head.py HYMENOPTERA VGG16_FEATURES --model vgg16 --rounds 3
    python benchmarks/frozen_head.py HYMENOPTERA RESNET18_WEIGHTS --model resnet18 --rounds 5

Two epochs of the plain loop are measured each round, the others counted by multiplication. frostline starts each round
with an empty store.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import measure

EPOCHS = 25


def main() -> None:
    """Alternate the two and write the ratio of medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--model", choices=["vgg16", "resnet18"], default="vgg16")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(run_frostline(options))
        theirs.append(run_plain_loop(options))
    seconds = measure.median([one["seconds"] for one in ours])
    loop_seconds = measure.median([one["seconds_25_epochs"] for one in theirs])
    measure.write(
        measure.by_processor(f"frozen_head_{options.model}"),
        {
            "what": f"hymenoptera, {options.model}, head:{EPOCHS}, whole process",
            "n": options.rounds,
            "frostline": ours,
            "plain_loop": theirs,
            "median_seconds": {"frostline": seconds, "plain_loop": loop_seconds},
            "times_faster": loop_seconds / seconds,
            "val_accuracy": measure.median([one["val_accuracy"] for one in ours]),
        },
    )


def run_frostline(options: argparse.Namespace) -> dict[str, float]:
    """Train once from an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        arguments = ["train", str(options.data), "--model", options.model, "--weights", str(options.weights)]
        done = measure.frostline(*arguments, "--stages", f"head:{EPOCHS}", "--out", str(out), cache=Path(folder) / "c")
        metrics = json.loads((out / "metrics.json").read_text())
    return {"seconds": done.seconds, "val_accuracy": metrics["val"]["accuracy"], **metrics["seconds"]}


def run_plain_loop(options: argparse.Namespace) -> dict[str, float]:
    """Measure two epochs and count 25."""
    script = Path(__file__).with_name("plain_loop.py")
    command = [sys.executable, str(script), str(options.data), str(options.weights), "--model", options.model]
    done = measure.run([*command, "--epochs", "2"])
    epochs = [float(line.split()[1]) for line in done.output.splitlines() if line.startswith("epoch")]
    before = done.seconds - sum(epochs)
    return {
        "startup": before,
        "epoch_1": epochs[0],
        "epoch_2": epochs[1],
        "seconds_25_epochs": before + EPOCHS * sum(epochs) / 2,
    }


if __name__ == "__main__":
    main()
