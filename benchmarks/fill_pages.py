"""Put what was measured into the tutorials' pages, between comments that name each figure; can be run again.

    python benchmarks/fill_pages.py

A slot `⟦key⟧`, or what stands between `<!-- key -->` and `<!-- / -->` from an earlier time, is replaced.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
from mistake_names import CHINESE
from tutorial_mistakes import told

PAGES = Path(__file__).parent.parent / "docs" / "tutorials"
RECIPES = {
    "t1.frozen": "faces-vgg16-frozen",
    "t1.thawed": "faces-vgg16-thawed",
    "t1.scratch": "faces-vgg16-scratch",
    "t1.best": "faces-best",
    "t2.finetune": "hymenoptera-resnet18-finetune",
    "t2.frozen": "hymenoptera-resnet18-frozen",
    "t2.best": "hymenoptera-best",
    "t3.vgg11": "fashion-vgg11",
    "t3.best": "fashion-best",
    "t4.vgg16": "cifar10-vgg16",
    "t4.vgg16-bn": "cifar10-vgg16-bn",
    "t4.best": "cifar10-best",
    "t5.staged": "cifar10-resnet18-staged",
    "t5.best": "cifar10-resnet18-best",
}
ON_PAGE = {
    "t1": (
        *("best-on-test", "flipped-test-t1", "unseeded-split", "cut-by-index", "dropout", "frozen-in-optimizer"),
        *("batch-means", "todays-libraries"),
    ),
    "t2": ("batch-norm-t2", "batch-mates"),
    "t3": ("two-passes",),
    "t4": ("softmax-first", "padding", "flipped-test-t4", "scored-in-training-mode"),
    "t5": ("batch-norm-t5", "batch-mates", "schedule-on-test", "frozen-in-optimizer", "batch-means"),
}
SLOT = re.compile(r"⟦([\w.-]+)⟧|<!-- ([\w.-]+) -->.*?<!-- / -->", re.DOTALL)
NOTHING = "–"


def main() -> None:
    """Fill all pages."""
    for page in sorted(PAGES.glob("*.md")):
        chinese = page.name.endswith(".zh.md")
        text = page.read_text(encoding="utf-8")
        filled = SLOT.sub(lambda match, zh=chinese: _filled(match[1] or match[2], zh), text)  # type: ignore[misc]
        if filled != text:
            page.write_text(filled, encoding="utf-8")


def _filled(key: str, chinese: bool) -> str:
    """A figure, or a whole table on lines of its own, between comments that name it."""
    value = _value(key, chinese)
    return f"<!-- {key} -->{value}<!-- / -->" if "\n" not in value else f"<!-- {key} -->\n{value}\n\n<!-- / -->"


def _value(key: str, chinese: bool) -> str:
    page, _, what = key.partition(".")
    tables: dict[str, Callable[[str, bool], str]] = {"mistakes": _mistakes, "ablation": _ablation}
    if key == "hardware":
        return _hardware()
    if what in tables:
        return tables[what](page, chinese)
    if what == "flags":
        return next((f"`{flags}`" for flags in _flags(page)), NOTHING)
    recipe, _, figure = what.partition(".")
    return _figure(_read(f"tutorials/{RECIPES[f'{page}.{recipe}']}"), figure)


def _read(name: str) -> dict[str, Any] | None:
    path = measure.RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _figure(result: dict[str, Any] | None, figure: str) -> str:
    if result is None:
        return NOTHING
    if figure == "loop.seconds":
        return f"{result['loop']['seconds_whole_tutorial']:,.0f}" if result.get("loop") else NOTHING
    if figure == "seconds":
        return f"{result['seconds']:,.0f}" if result.get("seconds") else NOTHING
    return _percent(result.get(figure), result["n"])


def _percent(values: dict[str, float] | None, n: int) -> str:
    if values is None:
        return NOTHING
    spread = f"{values['low']:.1%}–{values['high']:.1%}, " if n > 1 else ""
    return f"{values['mean']:.1%} ({spread}n={n})"


def _hardware() -> str:
    found = [_read(f"tutorials/{name}") for name in RECIPES.values()]
    machine = next(one["machine"] for one in found if one)
    return f"{machine['cpu']}, {machine['cores']} cores, torch {machine['versions']['torch']}"


def _flags(page: str) -> list[str]:
    found = [_read(f"tutorials/{name}") for key, name in RECIPES.items() if key.startswith(page)]
    return [one["flags"] for one in found if one and one["flags"]]


def _mistakes(page: str, chinese: bool) -> str:
    result = _read("tutorial_mistakes")
    head = (
        ("错误", "按教程", "修正后", "单位", "n")
        if chinese
        else ("mistake", "as the tutorial", "repaired", "unit", "n")
    )
    rows = [
        (
            CHINESE[one["mistake"]] if chinese else one["mistake"],
            *(told(one[side]) for side in ("as_the_tutorial", "repaired")),
            CHINESE[one["unit"]] if chinese else one["unit"],
            str(one["n"]),
        )
        for one in (result["findings"] if result else [])
        if one["name"] in ON_PAGE[page] and (page.upper() in one["tutorial"] or one["tutorial"] == "all")
    ]
    return _markdown(head, rows) if rows else NOTHING


def _ablation(page: str, chinese: bool) -> str:
    result = _read(f"ablation/{RECIPES[f'{page}.best']}")
    if result is None:
        return NOTHING
    head = (
        ("去掉", "准确率", "差（百分点）", "训练准确率")
        if chinese
        else ("without", "accuracy", "points", "training accuracy")
    )
    head = head if "train" in result["rows"][0] else head[:-1]
    whole = result["rows"][0][result["score"]]["mean"]
    rows = [
        (
            (CHINESE[one["without"]] if chinese else one["without"]) if one["without"] else "–",
            _percent(one[result["score"]], result["n"]),
            f"{100 * (one[result['score']]['mean'] - whole):+.1f}" if one["without"] else "",
            *([f"{one['train']['mean']:.1%}"] if "train" in one else []),
        )
        for one in result["rows"]
    ]
    return _markdown(head, rows)


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows])


if __name__ == "__main__":
    main()
