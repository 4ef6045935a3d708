"""Results as text: tables for people, CSV and JSON for programs."""

import json
import math
import re
import time
from collections.abc import Sequence
from typing import Any

from frostline.activations.housekeeping import StoreInfo
from frostline.columns import table
from frostline.data.pictures import first_few
from frostline.errors import ConfigError
from frostline.evaluation.compare import Comparison
from frostline.inspection import Inspection
from frostline.network.build import NetworkSpec, build
from frostline.network.outline import OutlineRow, outline
from frostline.plan.price import StagePrice
from frostline.plan.stages import ParameterCounts

SUMMARY = ("layer", "type", "output", "field", "parameters", "MACs", "share of MACs")
BAR = 20
"""Characters that stand for all MACs; plain ones, which are as wide in every terminal."""


def plan_table(prices: Sequence[tuple[StagePrice, ParameterCounts]]) -> str:
    """The price list of a plan: per stage what trains, the frost line, bytes, seconds both ways, the choice and why."""
    header = ["stage", "trains from", "frost line", "epochs", "rate", "trainable", "frozen", "activations"]
    header += ["stored", "computed", "choice"]
    rows = [
        (
            str(price.stage.number + 1),
            price.stage.shown,
            price.stage.cut.name,
            str(price.stage.epochs),
            f"{price.stage.lr:g}",
            f"{counts.trainable:,}",
            f"{counts.frozen:,}",
            f"{price.bytes / 1e6:,.1f} MB" if price.rows and price.stage.cut.position != 0 else "-",
            f"{price.seconds_stored:.1f} s",
            f"{price.seconds_direct:.1f} s",
            price.choice,
        )
        for price, counts in prices
    ]
    total = sum(price.seconds for price, _ in prices)
    reasons = [f"stage {price.stage.number + 1}: {price.choice}, {price.why}" for price, _ in prices]
    return "\n".join([table(header, rows, right=(3, 4, 5, 6, 7, 8, 9)), *reasons, f"training: about {total:.0f} s"])


def summary_table(model: str, input_text: str | None, classes: int, head: str) -> str:
    """A network's blocks and layers, and its cuts.

    Raises:
        ConfigError: the input is not CxHxW with equal sides.
        ModelError: no such network.
    """
    channels, size = _input_options(input_text)
    spec = NetworkSpec(model=model, classes=classes, head=head, channels=channels, image_size=size)
    network = build(spec)
    shape = network.preprocess.input_shape
    outlined = outline(network)
    macs = sum(row.macs for row in outlined if row.depth == 0)
    parameters = sum(parameter.numel() for parameter in network.module.parameters())
    cuts = [(cut.name, " + ".join("x".join(map(str, shape)) for shape in cut.shapes)) for cut in network.trace().cuts]
    return "\n".join(
        [
            f"{model}, input {'x'.join(map(str, shape))}",
            table(SUMMARY, [_summary_row(row, macs) for row in outlined], right=(2, 3, 4, 5)),
            f"{parameters:,} parameters, {macs:,} multiply-accumulates (MACs) a picture",
            "A block counts what is indented below it. Field: side in pixels of the square of the input that one value "
            "of the output looks at; all: the whole input; ?: inside a block that cannot be looked into.",
            "",
            f"{len(cuts)} cuts (a stage that starts below one reads what crosses it)",
            table(("cut after", "values"), cuts),
        ]
    )


def _summary_row(row: OutlineRow, total_macs: int) -> tuple[str, ...]:
    share = row.macs / total_macs if total_macs else 0.0
    return (
        "  " * row.depth + row.name,
        row.kind,
        "x".join(map(str, row.output_shape)),
        {math.inf: "all", 0: "-"}.get(row.field, "?" if math.isnan(row.field) else f"{row.field:.0f}"),
        f"{row.parameters:,}",
        f"{row.macs:,}",
        f"{share:6.1%} {'#' * round(share * BAR)}".rstrip() if row.macs else "",
    )


def metrics_table(metrics: dict[str, Any]) -> str:
    """Accuracy and a row per class."""
    rows = [
        (name, *(_share(value[key]) for key in ("precision", "recall", "f1", "auroc")), str(value["count"]))
        for name, value in metrics["per_class"].items()
    ]
    head = (
        f"{metrics['split']}: accuracy {metrics['accuracy']:.1%} ({_between(metrics['interval'])} at 95%) of "
        f"{metrics['count']} pictures, balanced {metrics['balanced_accuracy']:.1%}, "
        f"macro F1 {metrics['macro_f1']:.3f}, log loss {metrics['log_loss']:.3f}, "
        f"calibration error {metrics['ece']:.1%} ({metrics['ece_by_chance']:.1%} by chance)"
    )
    return f"{head}\n{table(('class', 'precision', 'recall', 'F1', 'AUROC', 'pictures'), rows, right=(1, 2, 3, 4, 5))}"


def comparison_table(split: str, found: Comparison) -> str:
    """What each of two runs has right that the other has not, and what follows."""
    (first, second), low, high = found.accuracies, *found.interval
    verdict = "so they may be equally good" if low <= 0 <= high else "so one is better"
    return (
        f"{found.count} {split} pictures: first {first:.1%}, second {second:.1%}\n"
        f"only the first is right on {found.only_first}, only the second on {found.only_second}\n"
        f"the second is {100 * found.difference:+.1f} points better ({100 * low:+.1f} to {100 * high:+.1f} at 95%), "
        f"{verdict}; McNemar p = {found.p_value:.2g}"
    )


def inspection_table(found: Inspection) -> str:
    """How many of each finding, and the first of them."""
    counts = found.counts
    splits = "; ".join(
        f"{name}: {sum(classes.values())} pictures of {len(classes)} classes"
        for name, classes in counts["by_split"].items()
    )
    formats = ", ".join(f"{count} {name}" for name, count in counts["formats"].items())
    shorter = counts["shorter_side"]
    sizes = (
        f"; shorter side {shorter['least']} to {shorter['most']} pixels, median {shorter['median']}" if shorter else ""
    )
    rows = [
        ("damaged", len(found.damaged), [f"{one['path']} ({one['reason']})" for one in found.damaged]),
        ("wrong suffix", len(found.wrong_suffixes), [f"{o['path']} is {o['format']}" for o in found.wrong_suffixes]),
        ("not a picture", len(found.ignored), found.ignored),
        ("same pixels", len(found.exact_duplicates), [" = ".join(group[:3]) for group in found.exact_duplicates]),
        ("nearly the same", len(found.near_duplicates), [f"{o['a']} ~ {o['b']}" for o in found.near_duplicates]),
        ("in two splits", len(found.leaks), [f"{o['a']} ~ {o['b']}" for o in found.leaks]),
        ("under two labels", len(found.label_conflicts), [f"{o['a']} ~ {o['b']}" for o in found.label_conflicts]),
        ("outliers", len(found.outliers), [f"{o['path']} ({o['reason']})" for o in found.outliers]),
    ]
    return "\n".join(
        [
            f"{counts['usable']} of {counts['pictures']} pictures can be used ({formats}{sizes})",
            splits,
            table(
                ("finding", "count", "first"),
                [(n, str(c), _one_line(first_few(some, 2))) for n, c, some in rows],
                right=(1,),
            ),
            *(f"note: {warning}" for warning in found.warnings),
        ]
    )


def stores_table(stores: Sequence[StoreInfo]) -> str:
    """A row per store."""
    rows = [
        (
            s.folder.name,
            s.cut or "? (key.json is damaged)",
            f"{s.bytes / 1e6:,.1f} MB",
            str(s.shards),
            time.strftime("%F %R", time.localtime(s.last_used)),
        )
        for s in stores
    ]
    total = f"{len(stores)} stores, {sum(store.bytes for store in stores) / 1e6:,.1f} MB"
    return f"{table(('store', 'cut after', 'size', 'shards', 'last used'), rows, right=(2, 3))}\n{total}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _between(interval: Sequence[float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def to_json(value: object) -> str:
    """Indented JSON, other alphabets as they are."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def _input_options(text: str | None) -> tuple[int, int | None]:
    """Channels and side."""
    if text is None:
        return 3, None
    match = re.fullmatch(r"([13])x(\d+)x(\d+)", text)
    if not match or match[2] != match[3] or not 8 <= int(match[2]) <= 4096:
        raise ConfigError(
            f"--input {text!r} is not understood; write channels x side x side, "
            "such as 3x224x224 or 1x32x32 (sides 8 to 4096)"
        )
    return int(match[1]), int(match[2])


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
