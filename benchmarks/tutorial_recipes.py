"""A recipe against the tutorial's own loop, in turn on the same machine: accuracy over seeds, seconds.

    python benchmarks/tutorial_recipes.py RECIPE DATA --seeds 3 --loop SYSTEM --steps 5 -- --weights FILE
    python benchmarks/tutorial_recipes.py RECIPE DATA --from RUN --loop SYSTEM --steps 5   # a run that exists already
    python benchmarks/tutorial_recipes.py --table                                         # docs/tutorials/results.md

Each seed is one whole process with an empty store; before each, some steps of the tutorial's loop are timed, from which
its whole length follows by multiplication. What stands after `--` is given to `frostline train` beside the recipe.
"""

import argparse
import csv
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
from frostline.plan.grammar import parse_stages
from frostline.recipes.catalog import load_recipe
from tutorial_lengths import loop_of

TABLE = Path(__file__).parent.parent / "docs" / "tutorials" / "results.md"

INTRODUCTION = """\
Every recipe as measured, beside the tutorial's own loop (`benchmarks/tutorial_loops.py`: float32, its batch size,
workers and transforms) on the same machine. Made by `benchmarks/tutorial_recipes.py --table`; each row's JSON, with
versions, is in `benchmarks/results/tutorials/`. `n` counts seeds. CIFAR-10 is the JPEG copy (quality 75); sign-digits
stands in for the faces.

- **Length.** Some runs are shorter than their recipe: the plan says how many epochs ran, and of how many. "Loop, as
  long" is the tutorial's loop for as many epochs and as many pictures as the run had (training, validation after each
  epoch, test at the end; its frozen phase for epochs of the head alone, where it has one), and "times faster" compares
  that with the whole process of the run, started with an empty store. What the whole tutorial takes, with all its
  epochs, stands beside it and is compared with nothing.
- **The loop's seconds** are some of its steps, timed, times their number. The timings of one loop on one processor are
  taken together: n of them, from the fastest to the slowest. Ratios are told with the fastest, which favours the
  loop. How busy the machine was is not recorded; a timing far above the others was probably made beside other work.
  The README and the page on performance compare with the median of the whole tutorial's timings beside the run itself
  (40 epochs on both sides), so their ratios are higher.
- **Then and now.** Runs of an hour are not repeated for every commit. `benchmarks/same_steps.py`
  ([result](../../benchmarks/results/same_steps.json)) trains recipes shortened, on few pictures, with the code that
  their figures were measured with and with that of {now}: {same_steps}. Since then fewer convolutions are laid side by
  side on processors without AMX, which changes rounding there (ADR 14).
- **Pictures per second** are those of the last stage's epochs; of a frozen stage they are read from a store, and the
  pass that fills it counts in the seconds alone.
- **`best` recipes train another network** than the loop beside them, at another size or batch (`cifar10-best`: SmallNet
  with batches of 256 beside VGG-16-BN with batches of 4), so their ratios are across networks. The same network at the
  same batch: VGG-16-BN with batches of 128,
  [{same_network:.1f} times](../../benchmarks/results/with_amx/from_scratch_vgg16_bn.json) the pictures per second of a
  plain loop (n={same_network_n})."""
HEADER = (
    *("recipe", "data", "pictures: training / validation / test", "plan as run", "n", "validation", "test", "seconds"),
    *("loop, as long: seconds", "times faster", "loop, whole tutorial: seconds", "pictures/s", "loop: pictures/s"),
    *("pictures/s: times", "processor", "note"),
)


def main() -> None:
    """Measure one recipe, or write the table of all."""
    options, flags = arguments()
    if options.table:
        TABLE.write_text(table(), encoding="utf-8")
        return
    runs, loops = [], []
    for seed in range(options.seeds):
        if options.loop:
            loops.append(run_loop(options.loop, options))
        if not options.runs:
            runs.append(run_recipe(options.recipe, options.data, seed, flags))
    runs += [read_run(folder) for folder in options.runs]
    measure.write(f"tutorials/{options.name or options.recipe}", summarise(options, flags, runs, loops))


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what stands after -- belongs to frostline."""
    given, _, flags = " ".join(map(shlex.quote, sys.argv[1:])).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--name", help="of the result, where one recipe is measured in several ways")
    parser.add_argument("--what", help="DATA as the table calls it (default: the folder's name)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--from", dest="runs", type=Path, nargs="+", default=[], help="finished runs to read instead")
    parser.add_argument(
        "--timed", type=int, help="so many of the first runs count for time; the rest ran beside others"
    )
    parser.add_argument("--loop", help="system of tutorial_loops.py")
    parser.add_argument("--loop-weights", type=Path)
    parser.add_argument("--loop-data", type=Path)
    parser.add_argument("--steps", type=int, default=5, help="steps of the loop to time")
    parser.add_argument("--note", default="")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args(shlex.split(given)), shlex.split(flags)


def run_recipe(recipe: str, data: str, seed: int, flags: list[str]) -> dict[str, Any]:
    """Train once, from an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["train", data, "--recipe", recipe, "--seed", str(seed), "--out", str(out), *flags]
        done = measure.frostline(*command, cache=Path(folder) / "cache")
        return {**read_run(out), "seconds": done.seconds}


def read_run(folder: Path) -> dict[str, Any]:
    """What a finished run says of itself."""
    metrics = json.loads((folder / "metrics.json").read_text())
    with (folder / "results.csv").open(newline="") as file:
        epochs = [row for row in csv.DictReader(file) if row["epoch"] != "0"]
    return {
        "seed": metrics["seed"],
        "val": metrics["val"]["accuracy"],
        "test": metrics["test"]["accuracy"],
        "train": float(epochs[-1]["train_accuracy"]),
        "seconds": metrics["seconds"]["total"],
        "parts": metrics["seconds"],
        "epochs": len(epochs),
        "epoch_seconds": [float(row["seconds"]) for row in epochs],
        "images_per_second": [float(row["images_per_second"]) for row in epochs if row["stage"] == epochs[-1]["stage"]],
        "counts": metrics["counts"],
        "plan": [f"{stage['stage']}: {stage['part']}, {stage['epochs']} epochs" for stage in metrics["plan"]],
    }


def run_loop(system: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time some steps of the tutorial's loop."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "loop.json"
        command = [sys.executable, str(Path(__file__).with_name("tutorial_loops.py")), system]
        command += ["--data", str(options.loop_data or options.data), "--steps", str(options.steps), "--json", str(out)]
        command += ["--weights", str(options.loop_weights)] if options.loop_weights else []
        measure.run(command)
        result: dict[str, Any] = json.loads(out.read_text())
    kept = ("seconds_per_picture", "tutorial_epochs", "seconds_whole_tutorial", "pictures", "load_before")
    return {name: result[name] for name in kept}


def summarise(
    options: argparse.Namespace, flags: list[str], runs: list[dict[str, Any]], loops: list[dict[str, Any]]
) -> dict[str, Any]:
    """Means and ranges of accuracy, medians of time."""
    timed = runs[: options.timed]
    seconds = measure.median([run["seconds"] for run in timed])
    speed = measure.median([value for run in timed for value in run["images_per_second"]])
    result: dict[str, Any] = {
        "what": options.recipe,
        "data": options.what or Path(options.data).name,
        "flags": measure.shown(flags),
        "n": len(runs),
        "timed": len(timed),
        **{name: spread([run[name] for run in runs]) for name in ("val", "test", "train")},
        "seconds": seconds,
        "images_per_second": speed,
        "note": options.note,
        "runs": runs,
    }
    if loops:
        whole = measure.median([loop["seconds_whole_tutorial"] for loop in loops])
        last = [list(loop["seconds_per_picture"].values())[-1]["train"] for loop in loops]
        result["loop"] = {
            "system": options.loop,
            "seconds_whole_tutorial": whole,
            "images_per_second": 1 / measure.median(last),
            "epochs": loops[0]["tutorial_epochs"],
            "runs": loops,
        }
    return result


def spread(values: list[float | None]) -> dict[str, float] | None:
    """Mean, lowest and highest; None where it was not measured."""
    known = [value for value in values if value is not None]
    return {"mean": sum(known) / len(known), "low": min(known), "high": max(known)} if known else None


def read_results() -> dict[str, dict[str, Any]]:
    """All results by their names."""
    paths = sorted((measure.RESULTS / "tutorials").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def table() -> str:
    """All results as Markdown."""
    results = list(read_results().values())
    same = json.loads((measure.RESULTS / "with_amx" / "from_scratch_vgg16_bn.json").read_text(encoding="utf-8"))
    steps = json.loads((measure.RESULTS / "same_steps.json").read_text(encoding="utf-8"))
    told = {"same_network": same["times_faster"], "same_network_n": same["n"], "now": steps["now"]}
    lines = [
        "# Results",
        "",
        INTRODUCTION.format(**told, same_steps=_same_steps(steps["recipes"])),
        "",
        f"| {' | '.join(HEADER)} |",
        "| --- " * len(HEADER) + "|",
        *[_row(result, results) for result in results],
    ]
    untimed = [f"`{result['what']}`" for result in results if not result.get("loop")]
    return "\n".join([*lines, "", f"Blank: the loop beside {', '.join(untimed)} was not timed.", ""])


def _same_steps(recipes: dict[str, Any]) -> str:
    """Say which recipes still train as they did, and how far the others are off."""
    same = [f"`{name}`" for name, one in recipes.items() if one["same_weights"]]
    said = [f"the same weights, bit for bit, of {', '.join(same)}"] if same else []
    said += [
        f"losses of `{name}` that differ by {one['largest_difference_of_losses']:.1g} of their value at most"
        + ("" if one["same_split"] else ", on another split")
        for name, one in recipes.items()
        if not one["same_weights"]
    ]
    return "; ".join(said)


def _row(result: dict[str, Any], results: list[dict[str, Any]]) -> str:
    loop = loop_of(result, results)
    cells = [
        f"`{result['what']}`" + (f" `{result['flags']}`" if result["flags"] else ""),
        result["data"],
        pictures(result),
        f"{'; '.join(result['runs'][0]['plan'])} (of {recipe_epochs(result)})",
        str(result["n"]),
        _percent(result["val"]),
        _percent(result["test"]),
        f"{result['seconds']:,.0f}",
        f"{loop.as_long:,.0f}" if loop else "",
        f"**{loop.as_long / result['seconds']:,.1f}**" if loop else "",
        f"{loop.whole_seconds(' to ')} ({loop.epochs} epochs of {loop.pictures:,}; n={len(loop.whole)})"
        if loop
        else "",
        f"{result['images_per_second']:,.0f}",
        f"{loop.images_per_second:,.1f}" if loop else "",
        f"{result['images_per_second'] / loop.images_per_second:,.1f}" if loop else "",
        processor(result),
        "; ".join(note for note in (result["note"], beside(result)) if note),
    ]
    return f"| {' | '.join(cells)} |"


def pictures(result: dict[str, Any]) -> str:
    """How many pictures a run trained on, validated and tested with."""
    counts = result["runs"][0]["counts"]
    return " / ".join(f"{counts[split]:,}" for split in ("train", "val", "test"))


def recipe_epochs(result: dict[str, Any]) -> int:
    """Epochs of the recipe as it is shipped."""
    return sum(stage.epochs for stage in parse_stages(load_recipe(result["what"]).settings["stages"]))


def processor(result: dict[str, Any]) -> str:
    """What a result was measured on."""
    return f"{result['machine']['cpu']}, {result['machine']['cores']} cores"


def beside(result: dict[str, Any]) -> str:
    """Say so where some runs shared the machine with other work, and do not count for time."""
    timed = result.get("timed", result["n"])
    return f"time of {timed} of {result['n']} runs, the others ran beside other work" if timed < result["n"] else ""


def _percent(values: dict[str, float] | None) -> str:
    if values is None:
        return ""
    if values["low"] == values["high"]:
        return f"{values['mean']:.1%}"
    return f"{values['mean']:.1%} ({values['low']:.1%} to {values['high']:.1%})"


if __name__ == "__main__":
    main()
