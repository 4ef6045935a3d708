"""Put what was measured into docs/trust.md and its Chinese page, between comments that name each table.

python benchmarks/fill_trust.py
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import measure

DOCS = Path(__file__).parent.parent / "docs"
SLOT = re.compile(r"<!-- trust\.(\w+) -->.*?<!-- / -->", re.DOTALL)
NAMES = {
    "hymenoptera": ("ants and bees", "蚂蚁与蜜蜂"),
    "sign-digits": ("hand signs", "手势数字"),
    "digits": ("digits (64 pixels)", "手写数字（64 像素）"),
    "cifar": ("CIFAR-10 (JPEG copy, 64 pixels)", "CIFAR-10（JPEG 副本，64 像素）"),
}
AUDIT = (
    ("60 altered copies across splits: recall", "60 张改动过的跨划分副本：召回率", ("copies", "recall"), 0.95),
    ("of those, resized", "其中，缩放", ("copies", "by_kind", "resized"), None),
    ("of those, recompressed", "其中，重新压缩", ("copies", "by_kind", "recompressed"), None),
    ("of those, cropped", "其中，裁剪", ("copies", "by_kind", "cropped"), None),
    ("of those, mirrored", "其中，镜像", ("copies", "by_kind", "mirrored"), None),
    ("of those, brightness", "其中，亮度", ("copies", "by_kind", "brightness"), None),
    ("of those, re-encoded", "其中，换格式编码", ("copies", "by_kind", "re-encoded"), None),
    ("precision of the leaks found", "找到的泄漏的精确率", ("copies", "precision"), 0.95),
    ("5% of the training labels wrong: recall", "5% 的训练标签是错的：召回率", ("labels", "recall"), 0.8),
    ("precision of the labels in doubt", "可疑标签的精确率", ("labels", "precision"), 0.6),
    ("true class suggested", "建议的正是真实类别", ("labels", "true_class_suggested"), None),
    ("11 blank pictures and stand-ins: recall", "11 张空白或占位图片：召回率", ("blanks", "recall"), 1.0),
)


LARGE = (
    "{pictures:,} pictures ({cpu}, two cores): {empty:.0f} s with an empty store, the pass through the network at 224 "
    "pixels included, which a training with `--head linear`\nthen finds stored; {full:.0f} s where it is stored "
    "already; of {part_pictures:,} of them, {part:.0f} s. Found: {near_duplicates:,} pairs that are\nnearly the same, "
    "{leaks:,} pairs between training and test pictures.",
    "{pictures:,} 张图片（{cpu}，两个核）：特征库为空时 {empty:.0f} 秒，含在 224 像素上把图片过一遍网络（之后用 "
    "`--head linear` 训练时这些特征已经存好）；\n特征已存好时 {full:.0f} 秒；"
    "只看其中的 {part_pictures:,} 张：{part:.0f} 秒。\n"
    "找到 {near_duplicates:,} 对几乎相同的图片，{leaks:,} 对分处训练和测试两部分。",
)
OPTIMISM = (
    "Over {n} seeds the half that chose says {chosen_on:.1%}, the other {honest:.1%}: {points:+.1f} points of optimism "
    "(95% interval of the mean {low:+.1f} to {high:+.1f}).",
    "{n} 个种子平均，挑选用的一半为 {chosen_on:.1%}，另一半为 {honest:.1%}：相差 {points:+.1f} 个百分点"
    "（平均值的 95% 区间为 {low:+.1f} 到 {high:+.1f}）。",
)
NOT_SHOWN = (
    " Zero lies inside, so this\nmuch does not show that there is any.",
    "0 在这个区间内，\n所以这些次数还不能说明确有乐观。",
)
AUGMENTED = (
    "\nThe other half after random crops and mirrors: {augmented:.1%}, {points:+.1f} points "
    "({low:+.1f} to {high:+.1f}).",
    "\n另一半经过随机裁剪和镜像之后：{augmented:.1%}，{points:+.1f} 个百分点（{low:+.1f} 到 {high:+.1f}）。",
)
METRICS = (
    ("pictures", "mean recall, area", "accuracy", "balanced accuracy", "macro F1", "AUROC", "log loss"),
    ("图片数", "平均召回率、面积", "准确率", "平衡准确率", "宏 F1", "AUROC", "对数损失"),
)
KINDS = {"head": (", head alone", "，只训练分类头"), "thawed": (", last blocks thawed", "，解冻最后的块")}
CALIBRATION = (
    "pictures | error of a run, before → after | by chance | runs in which it fell | all runs together (predictions) | "
    "change, points (95%) | log loss, change (95%) | temperature | accuracy",
    "图片 | 单次运行的误差，校准前 → 后 | 仅凭偶然 | 下降的次数 | 所有运行合计（预测数） | "
    "变化（95% 区间），百分点 | 对数损失，变化（95%） | 温度 | 准确率",
)
FOLDS = (
    "{count} trainings, each up to the run's best epoch (here {epoch}): {mean:.1%} on average, standard deviation "
    "{points:.1f} points,\n{least:.1%} to {most:.1%}; the run's own validation says {val:.1%}, its test {test:.1%} "
    "({low:.1%} to {high:.1%}). The run takes {alone:.0f} s, its activations\nstored before, and the {count} trainings "
    "{repeats:.0f} s more ({cpu}, median of {n} rounds).",
    "{count} 次训练，每次训练到该运行的最佳 epoch（这里是 {epoch}）：平均 {mean:.1%}，"
    "标准差 {points:.1f} 个百分点，{least:.1%} 到 {most:.1%}；\n"
    "这次运行自己的验证为 {val:.1%}，测试为 {test:.1%}（{low:.1%} 到 {high:.1%}）。\n"
    "特征事先存好时，运行本身用 {alone:.0f} 秒，这 {count} 次训练另用 {repeats:.0f} 秒（{cpu}，{n} 轮的中位数）。",
)


def main() -> None:
    """Fill both pages."""
    for page in (DOCS / "trust.md", DOCS / "trust.zh.md"):
        page.write_text(filled(page), encoding="utf-8")


def filled(page: Path) -> str:
    """A page with what was measured in its slots."""
    chinese = page.name.endswith(".zh.md")
    tables = {
        **{"audit": _audit, "large": _large, "optimism": _optimism, "calibration": _calibration},
        **{"intervals": _intervals, "folds": _folds},
    }
    text = page.read_text(encoding="utf-8")
    return SLOT.sub(lambda match: f"<!-- trust.{match[1]} -->\n{tables[match[1]](chinese)}\n\n<!-- / -->", text)


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((measure.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _audit(chinese: bool) -> str:
    told = _read("audit")
    names = list(dict.fromkeys(one["data"] for one in told["results"]))
    head = f"图片，各 {told['n']} 个种子" if chinese else f"pictures, {told['n']} seeds each"
    rows = [[head, *(NAMES[name][chinese] for name in names), "目标" if chinese else "wanted"]]
    for *words, keys, wanted in AUDIT:
        cells = [_spread([_at(one, keys) for one in told["results"] if one["data"] == name]) for name in names]
        rows.append([words[chinese], *cells, f"{wanted:.0%}" if wanted else ""])
    seconds = [[one["copies"]["seconds"] for one in told["results"] if one["data"] == name] for name in names]
    last = "检查用时，整个进程，秒" if chinese else "seconds of the audit, whole process"
    rows.append([last, *(f"{fmean(some):.0f} ({min(some):.0f}–{max(some):.0f})" for some in seconds), ""])
    return _markdown(rows)


def _at(one: dict[str, Any], keys: Sequence[str]) -> float:
    found: Any = one
    for key in keys:
        found = found[key]
    return float(found)


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.1%} ({min(values):.1%}–{max(values):.1%})"


def _large(chinese: bool) -> str:
    told = _read("audit_large")
    values = {"cpu": told["machine"]["cpu"], **told["found"]}
    values |= {"empty": told["seconds"]["store empty"], "full": told["seconds"]["store full"]}
    values |= {"part_pictures": told["part"]["pictures"], "part": told["seconds"]["part, store full"]}
    return LARGE[chinese].format(**values)


def _optimism(chinese: bool) -> str:
    told = _read("optimism")
    said = OPTIMISM[chinese].format(**told | _points(told["optimism"], told["interval"]))
    if told["interval"][0] < 0 < told["interval"][1]:
        said += NOT_SHOWN[chinese]
    changes = _points(told["by_augmenting"], told["interval_by_augmenting"])
    return said + AUGMENTED[chinese].format(augmented=told["augmented"], **changes)


def _points(change: float, interval: Sequence[float]) -> dict[str, float]:
    return {"points": 100 * change, "low": 100 * interval[0], "high": 100 * interval[1]}


def _calibration(chinese: bool) -> str:
    told = _read("calibration")
    rows = [CALIBRATION[chinese].split(" | ")]
    for one in told["summary"]:
        all_runs, (low, high) = one["together"], (100 * end for end in one["together"]["change"])
        less, more = one["log_loss_change"]
        rows.append(
            [
                NAMES[one["data"]][chinese] + KINDS[one["kind"]][chinese],
                f"{one['ece_before']:.1%} → {one['ece_after']:.1%}",
                f"{one['ece_by_chance']:.1%}",
                f"{one['fell']} / {one['n']}",
                f"{all_runs['ece_before']:.1%} → {all_runs['ece_after']:.1%} ({all_runs['count']:,})",
                f"{low:+.1f} – {high:+.1f}",
                f"{one['log_loss_before']:.3f} → {one['log_loss_after']:.3f} ({less:+.3f} – {more:+.3f})",
                f"{one['temperature']:.2f}",
                f"{one['accuracy']:.1%}",
            ]
        )
    return _markdown(rows)


def _intervals(chinese: bool) -> str:
    told = _read("intervals")
    methods = {"accuracy": "Wilson", "balanced_accuracy": "Price-Bonett", "macro_f1": "bootstrap"}
    methods |= {"auroc": "Newcombe", "log_loss": "bootstrap-t"}
    named = METRICS[chinese]
    head = [*named[:2], *(f"{name} ({method})" for name, method in zip(named[2:], methods.values(), strict=True))]
    rows = [
        [f"{one['count']:,}", f"{one['mean_recall']:.0%}", *(f"{one[key]:.1%}" for key in methods)]
        for one in told["rows"]
    ]
    return _markdown([head, *rows])


def _folds(chinese: bool) -> str:
    told = _read("repeats")
    found, (low, high) = told["folds"], told["test"]["interval"]
    values = {"count": len(found["accuracies"]), "points": 100 * found["std"], "low": low, "high": high}
    values |= {"val": told["val"]["accuracy"], "test": told["test"]["accuracy"], "cpu": told["machine"]["cpu"]}
    least, most = found["low"], found["high"]
    return FOLDS[chinese].format(
        **values, mean=found["mean"], epoch=found["epoch"], least=least, most=most, n=told["n"], **told["seconds"]
    )


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{' --- |' * len(rows[0])}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
