"""`report.html`: one file that a manager and an engineer can both read; it asks nothing of the network."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frostline.evaluation.folds import FOLDS
from frostline.evaluation.predictions import Said, read_predictions
from frostline.evaluation.reads import count_reads
from frostline.files import RunFolder, write_text
from frostline.report.charts import PERCENT, WHOLE, Axis, Line, curve_chart, line_chart
from frostline.report.given import given
from frostline.report.pictures import Seer, Shown, show_pictures
from frostline.report.words import Words
from frostline.training.history import read_epochs
from frostline.version import __version__

MOST_IN_MATRIX = 30
"""Classes up to which the confusion matrix is drawn."""
MOST_SHOWN, MOST_RIGHT = 24, 6
EARLIER: dict[str, Any] = {"audit": None, "is_pretrained": True}
EARLIER_CLASS: dict[str, Any] = {"intervals": dict.fromkeys(("precision", "recall", "auroc"))}
"""What the review of a run of an earlier version does not say, and its metrics of a class."""
UNBROKEN = r"--[a-z-]{2,20}|\d{4}-\d\d-\d\d"
"""Options and dates, which a line is not to break at a hyphen; none is long, even where it stands in a name."""
DARK_CELL = 0.85
"""Opacity of a cell that holds all pictures of its class."""


def write_report(
    run: RunFolder, language: str, seer: Seer | None = None, metrics: Mapping[str, Any] | None = None
) -> Path:
    """Write the report of a run.

    Args:
        run: with everything but perhaps its metrics, which are written last.
        language: en or zh.
        seer: the run's network with its best weights; None: they are read from the run.
        metrics: of the run; None: they are read from it.
    """
    metrics = metrics or json.loads(run.metrics.read_text(encoding="utf-8"))
    facts = _Facts(run, metrics, Words(language), seer or Seer.load(run))
    write_text(run.report, render("report.html", facts.context()))
    return run.report


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill in a page; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("frostline.report", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["whole"] = _whole
    return environment.get_template(template).render(context)


def _whole(text: str) -> str:
    """Escape a text, and keep its options and dates in one piece."""
    from markupsafe import Markup, escape

    return Markup(re.sub(UNBROKEN, r'<span class="whole">\g<0></span>', str(escape(text))))


class _Facts:
    """What a run folder holds, arranged for the page."""

    def __init__(self, run: RunFolder, metrics: Mapping[str, Any], words: Words, seer: Seer) -> None:
        self.run, self.metrics, self.words, self.seer = run, metrics, words, seer
        self.review = EARLIER | json.loads(run.review.read_text(encoding="utf-8"))
        self.said = read_predictions(run.predictions)
        self.split = "val" if self.metrics["test"]["accuracy"] is None else "test"
        self.measured = self.metrics[self.split]

    def context(self) -> dict[str, Any]:
        """Everything that the template asks for."""
        words, classes = self.words, self.metrics["classes"]
        galleries = self._galleries()
        is_test = self.split == "test"
        return {
            "words": words,
            "version": __version__,
            "name": self.run.path.resolve().name,
            "split": "test" if is_test else "validation",
            "headline": words("headline" if is_test else "headline_val", accuracy=self.measured["accuracy"]),
            "lead": self._lead(),
            "verdict": [words.verdict(one) for one in self.review["verdict"]],
            "charts": self._charts(),
            "best_epoch": self.metrics["best"]["epoch"],
            "classes": classes,
            "matrix": self._matrix() if len(classes) <= MOST_IN_MATRIX else None,
            "confused": self.measured["confused"],
            "per_class": [_row(name, EARLIER_CLASS | one) for name, one in self.measured["per_class"].items()],
            **galleries,
            "folds": FOLDS,
            "examined": self.review["examined"] > 0,
            "is_by_trained": not self.review["is_pretrained"],
            "calibration": self._calibration(),
            **given(self.run, words, classes, self.review["audit"], self.metrics["versions"]),
            "plan": self.metrics["plan"],
            "total_seconds": self.metrics["seconds"]["total"],
        }

    def _lead(self) -> list[str]:
        words, measured = self.words, self.measured
        low, high = measured["interval"]
        lines = [words("interval", count=measured["count"], low=low, high=high)]
        if self.split == "val":
            lines.append(words("val_is_optimistic"))
        else:
            lines.append(self._reads())
        if folds := self.metrics["folds"]:
            lines.append(words("folds", trainings=len(folds["accuracies"]), **folds))
        worst = measured["confused"][0] if measured["confused"] else None
        if worst:
            lines.append(words("confuses", **worst, of=measured["per_class"][worst["true"]]["count"]))
        else:
            lines.append(words("confuses_nothing"))
        return lines

    def _reads(self) -> str:
        if (reads := count_reads(self.run.reads)) > 1:
            return self.words("read_often", count=reads)
        time = datetime.fromisoformat(self.measured["read"]["time"]).astimezone(UTC)
        return self.words("read_once", time=f"{time:%Y-%m-%d %H:%M} UTC")

    def _charts(self) -> dict[str, str]:
        from markupsafe import Markup

        rows = read_epochs(self.run.results)
        drawn = {name: curve_chart(rows, name, self.words) for name in ("accuracy", "loss")}
        drawn["reliability"] = self._reliability()
        drawn["learning"] = self._learning() if self.review["learning_curve"] else ""
        return {name: Markup(svg) for name, svg in drawn.items()}  # our own SVG, its texts escaped

    def _reliability(self) -> str:
        words, bins = self.words, self.measured["reliability"]
        before = self.review["calibration"].get("reliability_before", [])  # runs of an earlier version have none
        low = min([one["low"] for one in (*bins, *before)])
        lines = [
            Line(words("perfect"), [(low, low), (1.0, 1.0)], "ideal"),
            *([Line(words("before_temperature"), _points(before), "train")] if before else []),
            Line(words("observed"), _points(bins), "val", has_dots=True),
        ]
        across, up = Axis(words("confidence"), low, 1.0, *PERCENT), Axis(words("accuracy"), 0.0, 1.0, *PERCENT)
        return line_chart(lines, across, up, title=words("calibration"))

    def _learning(self) -> str:
        words, points = self.words, [(one["count"], one["accuracy"]) for one in self.review["learning_curve"]]
        up = Axis(words("accuracy"), max(0.0, min(y for _, y in points) - 0.05), 1.0, *PERCENT)
        across = Axis(words("training_pictures"), 0.0, points[-1][0], *WHOLE)
        return line_chart(
            [Line(words("validation"), points, "val", has_dots=True)], across, up, title=words("learning")
        )

    def _matrix(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "cells": [{"count": count, "shade": round(DARK_CELL * count / max(1, sum(row)), 3)} for count in row],
            }
            for name, row in zip(self.metrics["classes"], self.measured["confusion"], strict=True)
        ]

    def _galleries(self) -> dict[str, Any]:
        words, said = self.words, [row for row in self.said if row.split == self.split]
        wrong = self.review["worst_mistakes"][:MOST_SHOWN]
        right = _spread([row for row in said if row.is_right], MOST_RIGHT)
        issues = self.review["label_issues"][:MOST_SHOWN]
        asked = {
            "mistakes": [(one["path"], one["predicted"]) for one in wrong],
            "right": [(row.path, row.predicted) for row in right],
            "issues": [(one["path"], one["suggested"]) for one in issues],
        }
        shown = show_pictures(self.run, self.seer, [one for some in asked.values() for one in some])
        texts = {
            "mistakes": [words("is_and_said", true=one["given"], **_said(one)) for one in wrong],
            "right": [
                words("is_and_said", true=row.label, predicted=row.predicted, confidence=row.confidence)
                for row in right
            ],
            "issues": [words("given_and_suggested", given=one["given"], suggested=one["suggested"]) for one in issues],
        }
        return {
            "has_pictures": bool(shown) or not any(asked.values()),
            **{name: _items([path for path, _ in asked[name]], texts[name], shown) for name in asked},
        }

    def _calibration(self) -> str:
        words, found = self.words, self.review["calibration"]
        says = [
            words(
                "calibration_says",
                before=found["ece_before"],
                after=found["ece_after"],
                temperature=found["temperature"],
            )
        ]
        if (chance := found.get("ece_by_chance")) is not None:  # runs of an earlier version have none
            says.append(words("calibration_chance", count=self.measured["count"], chance=chance))
        return words.space.join(says)


def _points(bins: Sequence[Mapping[str, float]]) -> list[tuple[float, float]]:
    return [(one["confidence"], one["accuracy"]) for one in bins]


def _said(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"predicted": one["predicted"], "confidence": one["confidence"]}


def _spread(rows: Sequence[Said], count: int) -> list[Said]:
    """Some rows, from all over."""
    return [rows[i * len(rows) // count] for i in range(min(count, len(rows)))]


def _items(paths: Sequence[str], texts: Sequence[str], shown: Mapping[str, Shown]) -> list[dict[str, Any]]:
    return [
        {
            "path": path,
            "says": text,
            "picture": shown[path].picture if path in shown else "",
            "heat": shown[path].heat if path in shown else "",
        }
        for path, text in zip(paths, texts, strict=True)
    ]


def _row(name: str, of_class: Mapping[str, Any]) -> dict[str, Any]:
    """A class in the table: shares with their intervals, where they have one."""
    shares = [(of_class[key], of_class["intervals"].get(key)) for key in ("precision", "recall", "f1", "auroc")]
    return {"name": name, "shares": shares, "count": of_class["count"]}
