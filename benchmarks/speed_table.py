"""Put the speed measurements into docs/performance.md and its Chinese page, as one table; can be run again.

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
SLOT = re.compile(r"(<!-- speed -->).*?(<!-- / -->)", re.DOTALL)
LATE = 1.1
"""Times the budget above which a peer's time is told beside its accuracy."""
HEAD = ("what", "measured", "beside it", "accuracy", "script and result")


def main() -> None:
    """Fill the pages."""
    cells = [HEAD, ("---",) * len(HEAD), *rows()]
    fill(DOCS / "performance.md", cells)
    fill(DOCS / "performance.zh.md", [tuple(map(in_chinese, row)) for row in cells])


def fill(page: Path, cells: list[tuple[str, ...]]) -> None:
    """Put a table into a page."""
    table = "".join(f"| {' | '.join(row)} |\n" for row in cells)
    text = page.read_text(encoding="utf-8")
    page.write_text(SLOT.sub(lambda slot: f"{slot[1]}\n{table}{slot[2]}", text), encoding="utf-8")


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """What was measured, in the order of a training's life; what was not is left out."""
    yield from _heads()
    yield from _pass()
    yield from _thawed()
    yield from _commands()
    yield from _budgets()


def _heads() -> Iterator[tuple[str, ...]]:
    for model in ("resnet18", "vgg16"):
        if found := _read(f"frozen_head_{model}"):
            ours, theirs = found["median_seconds"]["frostline"], found["median_seconds"]["plain_loop"]
            yield (
                f"ants and bees, {model}, `head:25`, whole process",
                f"{ours:.1f} s, **{found['times_faster']:.0f} times** faster",
                f"plain loop {theirs:,.0f} s",
                f"validation {found['val_accuracy']:.1%}",
                _source("frozen_head.py", f"frozen_head_{model}"),
            )
    for name, views in (("faces-vgg16-frozen-one-view", "one view"), ("faces-vgg16-frozen", "two views, 3 seeds")):
        if found := _read(f"tutorials/{name}"):
            ours, theirs = found["seconds"], found["loop"]["seconds_whole_tutorial"]
            yield (
                f"hand signs, VGG-16, `head:40`, {views}, whole process",
                f"{ours:,.0f} s, **{theirs / ours:.0f} times** faster",
                f"the tutorial's loop {theirs:,.0f} s",
                f"test {found['test']['mean']:.1%}",
                _source("tutorial_recipes.py", f"tutorials/{name}"),
            )


def _pass() -> Iterator[tuple[str, ...]]:
    if not (found := _read("the_pass")):
        return
    for name, network in found["networks"].items():
        best, plain, product = network["openvino"], network["torch"], found["gemm"]["torch.bfloat16"] / 1e12
        yield (
            f"the pass, {name} at 224 pixels",
            f"{best['pictures_per_second']:.0f} pictures/s: **{best['share_of_gemm']:.2f}** of a 2048 product's "
            f"operations, {best['times_limit']:.2f} times its limit's time",
            f"eager torch {plain['pictures_per_second']:.0f}; product {product:.2f} TF/s",
            "",
            _source("the_pass.py", "the_pass"),
        )


def _thawed() -> Iterator[tuple[str, ...]]:
    if found := _read("cached_stage"):
        for model, case in found["cases"].items():
            speeds = case["median_images_per_second"]
            yield (
                f"`{case['stage']}` of {model}, cached",
                f"{speeds['disk']:.0f} pictures/s, **{case['times_faster']:.1f} times**",
                f"computed {speeds['off']:.0f}; the arithmetic allows {case['arithmetic_bound']}",
                f"validation {case['val']['disk'][0]:.1%}, both",
                _source("cached_stage.py", "cached_stage"),
            )
            yield from _prices(model, case)
    for result, machine in (("peers_speed", ""), ("peers_speed_without_amx", ", a processor without AMX")):
        if found := _read(result):
            ours = found["images_per_second"]["frostline"]
            others = ", ".join(f"{name} {times:.1f}" for name, times in found["times"].items())
            yield (
                f"ResNet-18 at 224 pixels, every layer trains{machine}",
                f"{ours:.0f} pictures/s",
                f"times faster than: {others}",
                "",
                _source("peers.py", result),
            )
    if found := _read("from_scratch"):
        speeds = found["images_per_second"]
        yield (
            "VGG-16 with BatchNorm at 32 pixels, from scratch",
            f"{speeds['frostline']:.0f} pictures/s, **{found['times_faster']:.1f} times**",
            f"plain loop {speeds['plain_loop']:.0f}",
            "",
            _source("from_scratch.py", "from_scratch"),
        )


def _prices(model: str, case: dict[str, Any]) -> Iterator[tuple[str, ...]]:
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
        _source("cached_stage.py", "cached_stage"),
    )


def _commands() -> Iterator[tuple[str, ...]]:
    if found := _read("whole_commands"):
        seconds = found["median_seconds"]
        texts = {
            "second_run_other_head": "second run, another head (`mlp`), whole process",
            "predict_one_picture": "`frostline predict` of one picture, whole process",
            "help": "`frostline --help`",
        }
        for name, text in texts.items():
            beside = f"first run {seconds['first_run']:.1f} s" if name == "second_run_other_head" else ""
            yield text, f"**{seconds[name]:.2f} s**", beside, "", _source("whole_commands.py", "whole_commands")
    if found := _read("predict_folder"):
        speeds = found["median_pictures_per_second"]
        yield (
            "1,000 pictures predicted from a folder, over the pass",
            f"{speeds['predict']:.0f} pictures/s, **{found['over_the_pass']:.2f}**",
            f"pass {speeds['pass']:.0f}; the whole process {speeds['predict_process']:.0f}",
            "",
            _source("predict_folder.py", "predict_folder"),
        )
    if found := _read("scaling"):
        most = max(found["runs"], key=lambda run: run["pictures"])
        yield (
            f"{most['pictures']:,} pictures at {most['side']} pixels, head, store on disk: largest process",
            f"**{most['peak_bytes_largest_process'] / 1e9:.2f} GB**",
            f"{most['seconds']:.0f} s, {most['rows_per_second']:.0f} pictures/s in the pass",
            f"test {most['test']:.1%}",
            _source("scaling.py", "scaling"),
        )


def _budgets() -> Iterator[tuple[str, ...]]:
    for path in sorted((measure.RESULTS / "peers_budget").glob("*.json")):
        found = json.loads(path.read_text())
        what = {"hymenoptera": "ants and bees", "sign-digits": "hand signs"}.get(path.stem, path.stem)
        machine = "" if found["machine"]["amx_bf16"] else ", a processor without AMX"
        for seconds, accuracies in found["median_accuracy"].items():
            runs = [run for run in found["runs"] if str(run["budget"]) == str(seconds)]
            took = {name: measure.median([run[name]["seconds"] for run in runs]) for name in accuracies}
            others = [
                f"{name} {value:.1%}" + (f" ({took[name]:.0f} s)" if took[name] > LATE * float(seconds) else "")
                for name, value in accuracies.items()
                if name != "frostline"
            ]
            yield (
                f"{what}, `--budget {seconds}s`{machine}",
                f"took {took['frostline']:.0f} s",
                ", ".join(others),
                f"validation **{accuracies['frostline']:.1%}**",
                _source("peers.py", f"peers_budget/{path.stem}"),
            )


def _read(name: str) -> dict[str, Any] | None:
    path = measure.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _source(script: str, result: str) -> str:
    return f"[{script}](../benchmarks/{script}), [JSON](../benchmarks/results/{result}.json)"


if __name__ == "__main__":
    main()
