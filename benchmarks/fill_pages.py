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
from tutorial_lengths import Loop, loop_of
from tutorial_mistakes import told
from tutorial_recipes import beside, pictures, processor, read_results, recipe_epochs

PAGES = Path(__file__).parent.parent / "docs" / "tutorials"
RESULTS = {
    "t1": (
        *("faces-vgg16-frozen", "faces-vgg16-frozen-one-view", "faces-vgg16-thawed", "faces-vgg16-scratch"),
        "faces-best",
    ),
    "t2": ("hymenoptera-resnet18-finetune", "hymenoptera-resnet18-frozen", "hymenoptera-best"),
    "t3": ("fashion-vgg11", "fashion-best"),
    "t4": ("cifar10-vgg16", "cifar10-vgg16-bn", "cifar10-best"),
    "t5": ("cifar10-resnet18-staged", "cifar10-resnet18-best"),
}
"""The rows of each page's table of times; the last is the page's `best` recipe."""
TIMES = (
    *("recipe, and what was given beside it", "epochs run / of the recipe", "pictures: training / validation / test"),
    *("validation", "test", "seconds", "the loop, as long: seconds", "the whole tutorial's loop: seconds"),
    *("processor", "note"),
)
TIMES_CHINESE = (
    *("配方，以及另加的参数", "实际 epoch / 配方的 epoch", "图片：训练 / 验证 / 测试", "验证", "测试", "秒"),
    *("教程的循环，同样长：秒", "教程的循环，整篇：秒", "处理器", "备注"),
)
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
        text = filled(page)
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")


def filled(page: Path) -> str:
    """A page with what was measured in its slots."""
    chinese = page.name.endswith(".zh.md")
    text = page.read_text(encoding="utf-8")
    return SLOT.sub(lambda match: _filled(match[1] or match[2], chinese), text)


def _filled(key: str, chinese: bool) -> str:
    """A figure, or a whole table on lines of its own, between comments that name it."""
    value = _value(key, chinese)
    return f"<!-- {key} -->{value}<!-- / -->" if "\n" not in value else f"<!-- {key} -->\n{value}\n\n<!-- / -->"


def _value(key: str, chinese: bool) -> str:
    page, _, what = key.partition(".")
    tables: dict[str, Callable[[str, bool], str]] = {"mistakes": _mistakes, "ablation": _ablation, "times": _times}
    figures = {"hardware": _hardware, "t2.best": _ants_bees, "t4.across": _across_networks, "t4.same": _same_network}
    return figures[key]() if key in figures else tables[what](page, chinese)


def _read(name: str) -> dict[str, Any] | None:
    path = measure.RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _percent(values: dict[str, float] | None, n: int) -> str:
    if values is None:
        return NOTHING
    spread = f"{values['low']:.1%}–{values['high']:.1%}, " if n > 1 else ""
    return f"{values['mean']:.1%} ({spread}n={n})"


def _hardware() -> str:
    machines = [one["machine"] for one in read_results().values()]
    found = dict.fromkeys(f"{one['cpu']}, {one['cores']} cores, torch {one['versions']['torch']}" for one in machines)
    return "; ".join(found)


def _ants_bees() -> str:
    return f"{read_results()['hymenoptera-best']['val']['mean']:.1%}"


def _across_networks() -> str:
    results = read_results()
    best = results["cifar10-best"]
    loop = loop_of(best, list(results.values()))
    assert loop is not None
    return f"{best['images_per_second'] / loop.images_per_second:.1f}"


def _same_network() -> str:
    result = _read("with_amx/from_scratch_vgg16_bn")
    return f"{result['times_faster']:.1f}" if result else NOTHING


def _times(page: str, chinese: bool) -> str:
    results = read_results()
    rows = [_times_row(results[name], list(results.values()), chinese) for name in RESULTS[page]]
    return _markdown(TIMES_CHINESE if chinese else TIMES, rows)


def _times_row(result: dict[str, Any], results: list[dict[str, Any]], chinese: bool) -> tuple[str, ...]:
    loop = loop_of(result, results)
    given = [f"`{flags}`" for flags in (result["what"], result["flags"]) if flags]
    notes = [note for note in (result["note"], beside(result)) if note]
    return (
        " ".join(given),
        f"{result['runs'][0]['epochs']} / {recipe_epochs(result)}",
        pictures(result),
        *(_percent(result[name], result["n"]) for name in ("val", "test")),
        f"{result['seconds']:,.0f}",
        f"{loop.as_long:,.0f}" if loop else NOTHING,
        _whole(loop, chinese) if loop else NOTHING,
        processor(result),
        "；".join(CHINESE[note] for note in notes) if chinese else "; ".join(notes),
    )


def _whole(loop: Loop, chinese: bool) -> str:
    if chinese:
        return f"{loop.whole_seconds('–')}（{loop.epochs} 个 epoch，每个 {loop.pictures:,} 张，n={len(loop.whole)}）"
    return f"{loop.whole_seconds(' to ')} ({loop.epochs} epochs of {loop.pictures:,}, n={len(loop.whole)})"


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
    result = _read(f"ablation/{RESULTS[page][-1]}")
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
