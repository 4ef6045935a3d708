"""Put the speed measurements into docs/performance.md and its Chinese page, a table for each kind of processor.

Can be run again.

python benchmarks/speed_table.py
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
from speed_words import in_chinese

DOCS = Path(__file__).parent.parent / "docs"
PROCESSORS = {"with_amx": True, "without_amx": False}
"""Folders of results, and whether their processors multiply bfloat16 matrices in tiles."""
LATE = 1.1
"""Times the budget above which a peer's time is told beside its accuracy."""
HEAD = ("what", "measured", "beside it", "accuracy", "script and result", "processor")


def main() -> None:
    """Fill the pages."""
    for folder in PROCESSORS:
        cells = [HEAD, ("---",) * len(HEAD), *map(cells_of, rows(folder))]
        fill(DOCS / "performance.md", folder, cells)
        fill(DOCS / "performance.zh.md", folder, [tuple(map(in_chinese, row)) for row in cells])


def fill(page: Path, folder: str, cells: list[tuple[str, ...]]) -> None:
    """Put a table into its slot on a page."""
    table = "".join(f"| {' | '.join(row)} |\n" for row in cells)
    slot = re.compile(rf"(<!-- speed {folder} -->).*?(<!-- / -->)", re.DOTALL)
    text = page.read_text(encoding="utf-8")
    page.write_text(slot.sub(lambda found: f"{found[1]}\n{table}{found[2]}", text), encoding="utf-8")


def cells_of(row: tuple[str, ...]) -> tuple[str, ...]:
    """A row as the page shows it."""
    *told, script, result = row
    source = f"[{script}](../benchmarks/{script}), [JSON](../benchmarks/results/{result}.json)"
    found = _read(result)
    assert found is not None
    return *told, source, found["machine"]["cpu"]


def rows(folder: str) -> Iterator[tuple[str, ...]]:
    """What was measured, in the order of a training's life; what was not is left out.

    Each: what, measured, beside it, accuracy, script, result.
    """
    yield from _heads(folder)
    yield from _pass(folder)
    yield from _thawed(folder)
    yield from _commands(folder)
    yield from _budgets(folder)


def _heads(folder: str) -> Iterator[tuple[str, ...]]:
    for model in ("resnet18", "vgg16"):
        if found := _read(f"{folder}/frozen_head_{model}"):
            ours, theirs = found["median_seconds"]["frostline"], found["median_seconds"]["plain_loop"]
            yield (
                f"ants and bees, {model}, `head:25`, whole process",
                f"{ours:.1f} s, **{found['times_faster']:.0f} times** faster",
                f"plain loop {theirs:,.0f} s",
                f"validation {found['val_accuracy']:.1%}",
                "frozen_head.py",
                f"{folder}/frozen_head_{model}",
            )
    for name, views in (("faces-vgg16-frozen-one-view", "one view"), ("faces-vgg16-frozen", "two views, 3 seeds")):
        found = _read(f"tutorials/{name}")
        if found and found["machine"]["amx_bf16"] is PROCESSORS[folder]:
            ours, theirs = found["seconds"], found["loop"]["seconds_whole_tutorial"]
            yield (
                f"hand signs, VGG-16, `head:40`, {views}, whole process",
                f"{ours:,.0f} s, **{theirs / ours:.0f} times** faster",
                f"the tutorial's loop {theirs:,.0f} s",
                f"test {found['test']['mean']:.1%}",
                "tutorial_recipes.py",
                f"tutorials/{name}",
            )


def _pass(folder: str) -> Iterator[tuple[str, ...]]:
    if not (found := _read(f"{folder}/the_pass")):
        return
    for name, network in found["networks"].items():
        best, plain, product = network["openvino"], network["torch"], found["gemm"]["torch.bfloat16"] / 1e12
        yield (
            f"the pass, {name} at 224 pixels",
            f"{best['pictures_per_second']:.0f} pictures/s: **{best['share_of_gemm']:.2f}** of a 2048 product's "
            f"operations, {best['times_limit']:.2f} times its limit's time",
            f"eager torch {plain['pictures_per_second']:.0f}; product {product:.2f} TF/s",
            "",
            "the_pass.py",
            f"{folder}/the_pass",
        )


def _thawed(folder: str) -> Iterator[tuple[str, ...]]:
    if found := _read(f"{folder}/cached_stage"):
        for model, case in found["cases"].items():
            speeds = case["median_images_per_second"]
            yield (
                f"`{case['stage']}` of {model}, cached",
                f"{speeds['disk']:.0f} pictures/s, **{case['times_faster']:.1f} times**",
                f"computed {speeds['off']:.0f}; the arithmetic allows {case['arithmetic_bound']}",
                f"validation {case['val']['disk'][0]:.1%}, both",
                "cached_stage.py",
                f"{folder}/cached_stage",
            )
            yield from _prices(folder, model, case)
    if found := _read(f"{folder}/peers_speed"):
        ours = found["images_per_second"]["frostline"]
        others = ", ".join(f"{name} {times:.1f}" for name, times in found["times"].items())
        yield (
            "ResNet-18 at 224 pixels, every layer trains",
            f"{ours:.0f} pictures/s",
            f"times faster than: {others}",
            "",
            "peers.py",
            f"{folder}/peers_speed",
        )
    for model, text in (("vgg16_bn", "VGG-16 with BatchNorm"), ("smallnet", "SmallNet, 1.25 times as wide")):
        if found := _read(f"{folder}/from_scratch_{model}"):
            speeds = found["images_per_second"]
            yield (
                f"{text}, at 32 pixels, from scratch",
                f"{speeds['frostline']:.0f} pictures/s, **{found['times_faster']:.1f} times**",
                f"plain loop {speeds['plain_loop']:.0f}",
                "",
                "from_scratch.py",
                f"{folder}/from_scratch_{model}",
            )


def _prices(folder: str, model: str, case: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What the stage took over what it was to take."""
    shown = []
    for name, text in (("disk", "cached"), ("off", "computed")):
        runs = [run[name] for run in case["rounds"]]
        shown.append(
            f"{text} {measure.median([run['stage_seconds'] / run['stage_priced_seconds'] for run in runs]):.2f}"
        )
    yield (
        f"seconds that `{case['stage']}` of {model} took over its price",
        ", ".join(shown),
        "",
        "",
        "cached_stage.py",
        f"{folder}/cached_stage",
    )


def _commands(folder: str) -> Iterator[tuple[str, ...]]:
    if found := _read(f"{folder}/whole_commands"):
        seconds = found["median_seconds"]
        texts = {
            "second_run_other_head": "second run, another head (`mlp`), whole process",
            "predict_one_picture": "`frostline predict` of one picture, whole process",
            "help": "`frostline --help`",
        }
        for name, text in texts.items():
            beside = f"first run {seconds['first_run']:.1f} s" if name == "second_run_other_head" else ""
            yield (
                text,
                f"**{seconds[name]:.2f} s**",
                beside,
                "",
                "whole_commands.py",
                f"{folder}/whole_commands",
            )
    if found := _read(f"{folder}/predict_folder"):
        speeds = found["median_pictures_per_second"]
        yield (
            "1,000 pictures predicted from a folder, over the pass",
            f"{speeds['predict']:.0f} pictures/s, **{found['over_the_pass']:.2f}**",
            f"pass {speeds['pass']:.0f}; the whole process {speeds['predict_process']:.0f}",
            "",
            "predict_folder.py",
            f"{folder}/predict_folder",
        )
    if found := _read(f"{folder}/scaling"):
        most = max(found["runs"], key=lambda run: run["pictures"])
        yield (
            f"{most['pictures']:,} pictures at {most['side']} pixels, head, store on disk: largest process",
            f"**{most['peak_bytes_largest_process'] / 1e9:.2f} GB**",
            f"{most['seconds']:.0f} s, {most['rows_per_second']:.0f} pictures/s in the pass",
            f"test {most['test']:.1%}",
            "scaling.py",
            f"{folder}/scaling",
        )


def _budgets(folder: str) -> Iterator[tuple[str, ...]]:
    for path in sorted((measure.RESULTS / folder / "peers_budget").glob("*.json")):
        found = json.loads(path.read_text())
        what = {"hymenoptera": "ants and bees", "sign-digits": "hand signs"}.get(path.stem, path.stem)
        for seconds, accuracies in found["median_accuracy"].items():
            runs = [run for run in found["runs"] if str(run["budget"]) == str(seconds)]
            took = {name: measure.median([run[name]["seconds"] for run in runs]) for name in accuracies}
            others = [
                f"{name} {value:.1%}" + (f" ({took[name]:.0f} s)" if took[name] > LATE * float(seconds) else "")
                for name, value in accuracies.items()
                if name != "frostline"
            ]
            yield (
                f"{what}, `--budget {seconds}s`",
                f"took {took['frostline']:.0f} s",
                ", ".join(others),
                f"validation **{accuracies['frostline']:.1%}**",
                "peers.py",
                f"{folder}/peers_budget/{path.stem}",
            )


def _read(name: str) -> dict[str, Any] | None:
    path = measure.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


if __name__ == "__main__":
    main()
