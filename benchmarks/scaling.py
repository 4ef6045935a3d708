"""Time and peak memory of a whole run against the number of pictures, the size of the input and the epochs.

    python benchmarks/scaling.py CIFAR10_FOLDER docs/scaling.png

CIFAR10_FOLDER has train/ with class folders. EfficientNet-Lite0 stays frozen, its activations go to disk, a head trains
on them. One thing is varied at a time; a line is fitted through the seconds: what a run costs at all, and what each
picture, pixel or epoch adds.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import measure


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is given."""

    pictures: int = 5_000
    side: int = 224
    epochs: int = 10


AXES = {
    "pictures": [Setting(pictures=count) for count in (1_000, 5_000, 20_000, 50_000)],
    "side": [Setting(side=side) for side in (64, 128, 224, 320)],
    "epochs": [Setting(epochs=epochs) for epochs in (1, 10, 50, 200)],
}
LABELS = {"pictures": "pictures", "side": "pixels of the input", "epochs": "epochs"}


def main() -> None:
    """Run all, write the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("plot", type=Path)
    options = parser.parse_args()
    runs: dict[Setting, dict[str, Any]] = {}
    for setting in sorted({setting for settings in AXES.values() for setting in settings}, key=_work):
        runs[setting] = one_run(options.data, setting)
        print(setting, runs[setting], flush=True)
    lines = {axis: line([(amount(axis, s), runs[s]["seconds"]) for s in settings]) for axis, settings in AXES.items()}
    measure.write(
        measure.by_processor("scaling"), {"lines": lines, "runs": [{**asdict(s), **run} for s, run in runs.items()]}
    )
    draw(options.plot, runs, lines)


def _work(setting: Setting) -> int:
    return setting.pictures * setting.side**2


def amount(axis: str, setting: Setting) -> int:
    """What the seconds should be proportional to: of a square, its pixels."""
    value: int = getattr(setting, axis)
    return value**2 if axis == "side" else value


def one_run(data: Path, setting: Setting) -> dict[str, Any]:
    """Train once from an empty store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        take(data / "train", folder / "pictures", setting.pictures)
        flags = ["--image-size", str(setting.side), "--stages", f"head:{setting.epochs}", "--feature-cache", "disk"]
        out = folder / "run"
        where = ["--out", str(out)]
        done = measure.frostline("train", str(folder / "pictures"), *flags, *where, cache=folder / "cache")
        metrics = json.loads((out / "metrics.json").read_text())
    return {
        "seconds": round(done.seconds, 2),
        "parts": metrics["seconds"],
        "peak_bytes_largest_process": done.peak_bytes,
        "store_bytes": metrics["activations"]["bytes"],
        "rows_per_second": metrics["activations"]["images_per_second"],
        "engine": metrics["activations"]["engine"],
        "test": metrics["test"]["accuracy"],
    }


def take(source: Path, target: Path, count: int) -> None:
    """Copy the first pictures of each class, as many of each."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for folder in classes:
        (target / folder.name).mkdir(parents=True)
        for picture in sorted(folder.iterdir())[: count // len(classes)]:
            shutil.copyfile(picture, target / folder.name / picture.name)


def line(points: list[tuple[int, float]]) -> dict[str, float]:
    """Least squares through (amount, seconds): seconds at nothing and for each, share of the variance explained."""
    amounts, seconds = np.array(points, dtype=float).T
    slope, start = np.polyfit(amounts, seconds, 1)
    rest = seconds - (start + slope * amounts)
    return {
        "start_seconds": float(start),
        "seconds_each": float(slope),
        "explained": float(1 - (rest**2).sum() / ((seconds - seconds.mean()) ** 2).sum()),
    }


def draw(path: Path, runs: dict[Setting, dict[str, Any]], lines: dict[str, dict[str, float]]) -> None:
    """Draw seconds with their line above, peak memory below, a column for each axis."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    rows = figure.subplots(2, len(AXES))
    for (above, below), (axis, settings) in zip(rows.T, AXES.items(), strict=True):
        amounts = np.array([amount(axis, setting) for setting in settings])
        fitted = lines[axis]
        each = f"{1000 * fitted['seconds_each']:.3g} ms each, {fitted['start_seconds']:.0f} s before"
        above.plot(amounts, fitted["start_seconds"] + fitted["seconds_each"] * amounts, color="0.6", label=each)
        above.plot(amounts, [runs[setting]["seconds"] for setting in settings], "o", color="tab:blue", clip_on=False)
        above.set(ylabel="seconds", ylim=(0, None), xlim=(0, None))
        above.legend(frameon=False)
        peaks = [runs[setting]["peak_bytes_largest_process"] / 1e9 for setting in settings]
        below.plot(amounts, peaks, "o-", color="tab:orange", clip_on=False)
        below.set(xlabel=LABELS[axis], ylabel="peak memory, GB", ylim=(0, None), xlim=(0, None))
        for panel in (above, below):
            panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
