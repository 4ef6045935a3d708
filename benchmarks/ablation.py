"""What each trick of a `best` recipe is worth: the recipe without it, over seeds.

    python benchmarks/ablation.py RECIPE DATA --seeds 3 --score val [--gap] [-- --weights FILE]

All variants of one run share a store, so a frozen layer is computed once for all; the result is written after each.
With --gap the training pictures are measured too, as they are and with the best weights: what is printed while training
is of mixed and shifted ones.
"""

import argparse
import csv
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import frostline
import measure
from frostline.plan.grammar import parse_stages
from frostline.recipes.catalog import load_recipe
from tutorial_recipes import read_run, spread

WITHOUT = {
    "faces-best": {
        "several depths (linear head)": "--head linear",
        "the thaw (head only)": "--stages head:8",
        "label smoothing": "--label-smoothing 0",
        "mixup": "--mixup 0",
        "averaged weights": "--ema 0",
        "rates that fall with depth": "--layer-decay 1",
        "the mirrored test view": "--test-views none",
        "any regularisation": "--label-smoothing 0 --mixup 0 --ema 0 --augment none --weight-decay 0",
    },
    "hymenoptera-best": {
        "several depths (linear head)": "--head linear",
        "stored crops (as is and mirrored)": "--augment flip",
        "the mirrored test view": "--test-views none",
        "gradient epochs after the fit (one)": "--stages head:1",
    },
    "fashion-best": {
        "shifts": "--augment flip",
        "mirrored views": "--augment none+pad:2",
        "label smoothing": "--label-smoothing 0",
        "averaged weights": "--ema 0",
        "the mirrored test view": "--test-views none",
    },
    "cifar10-best": {
        "a frozen stem (trained on from where it starts)": "--stages all:{epochs}",
        "shifts": "--augment flip+cutout:12",
        "cutout": "--augment flip+pad:4",
        "mirrored views": "--augment none+pad:4+cutout:12",
        "label smoothing": "--label-smoothing 0",
        "averaged weights": "--ema 0",
        "the other test views": "--test-views none",
    },
    "cifar10-resnet18-best": {
        "a random head (fitted)": "--head linear",
        "shifts and cutout": "--augment flip",
        "averaged weights": "--ema 0",
        "rates that fall with depth": "--layer-decay 1",
        "label smoothing": "--label-smoothing 0",
        "the mirrored test view": "--test-views none",
        "one size throughout (two epochs at 48 pixels, then one)": "--stages all:2@1e-3/48,all:1@1e-3",
    },
}


def main() -> None:
    """Run the recipe whole and without each trick."""
    given, _, rest = " ".join(map(shlex.quote, sys.argv[1:])).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=WITHOUT)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--score", choices=["val", "test"], default="val")
    parser.add_argument("--gap", action="store_true", help="measure the training pictures too")
    parser.add_argument("--what", help="DATA as the tables call it (default: the folder's name)")
    parser.add_argument("--epochs", type=int, help="of a recipe with one stage, to cut it short")
    parser.add_argument("--only", nargs="+", help="the tricks to take away, by the words of the table (default: each)")
    parser.add_argument("--note", default="")
    parser.add_argument("--resume", action="store_true", help="keep the rows that a run with these settings wrote")
    options = parser.parse_args(shlex.split(given))
    flags = shlex.split(rest)
    facts: dict[str, Any] = {
        **{
            "what": options.recipe,
            "data": options.what or Path(options.data).name,
            "flags": measure.shown(_without(options, flags, "")),
        },
        **{"score": options.score, "n": options.seeds, "note": options.note},
    }
    rows = _written(options.recipe, facts) if options.resume else []
    chosen = {name: change for name, change in WITHOUT[options.recipe].items() if name in (options.only or [name])}
    with tempfile.TemporaryDirectory() as folder:
        for name, change in [(None, ""), *chosen.items()]:
            if name in [row["without"] for row in rows]:
                continue
            rows.append({"without": name, **_measure(options, Path(folder), _without(options, flags, change))})
            measure.write(f"ablation/{options.recipe}", {**facts, "rows": rows})


def _written(recipe: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an interrupted run with the same settings."""
    path = measure.RESULTS / "ablation" / f"{recipe}.json"
    result = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    return result["rows"] if facts.items() <= result.items() else []


def _without(options: argparse.Namespace, flags: list[str], change: str) -> list[str]:
    """The flags with a trick taken away; where that names stages, they take the place of the number of epochs."""
    epochs = options.epochs or parse_stages(load_recipe(options.recipe).settings["stages"])[-1].epochs
    shortened = ["--epochs", str(epochs)] if options.epochs and "--stages" not in change else []
    return [*flags, *shortened, *change.format(epochs=epochs).split()]


def _measure(options: argparse.Namespace, folder: Path, flags: list[str]) -> dict[str, Any]:
    runs = []
    for seed in range(options.seeds):
        out = Path(tempfile.mkdtemp(dir=folder)) / "run"
        command = ["train", options.data, "--recipe", options.recipe, "--seed", str(seed), "--out", str(out), *flags]
        measure.frostline(*command, cache=folder / "cache")
        runs.append(read_run(out) | ({"train": _training_accuracy(out, Path(options.data))} if options.gap else {}))
    names = (options.score, "train") if options.gap else (options.score,)
    return {"flags": measure.shown(flags), **{name: spread([run[name] for run in runs]) for name in names}}


def _training_accuracy(run: Path, data: Path) -> float:
    """Accuracy of the best weights on the pictures that they were trained on."""
    manifest = run / "training.csv"
    with (run / "split.csv").open(newline="") as source, manifest.open("w", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["path", "label"])
        kept = [row for row in csv.DictReader(source) if row["split"] == "train"]
        rows.writerows([(data.resolve() / row["path"], row["label"]) for row in kept])
    accuracy: float = frostline.evaluate(run, manifest)["accuracy"]
    return accuracy


if __name__ == "__main__":
    main()
