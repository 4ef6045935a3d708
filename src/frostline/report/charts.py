"""Line charts as SVG that takes its colours from the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from frostline.report.words import Words
from frostline.training.history import EpochRow

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 38, 48
TICKS = 5
"""Along an axis, at most, between its ends."""
ROW, ROOM = 22, 110
"""Height of a line of text and width for the name of a mark, as large as a telephone shows it."""
MANY = 60
"""Points of a line that has no dots any more."""


PERCENT, WHOLE = ("{:.0%}", 0.01), ("{:.0f}", 1.0)
"""Formats and units of axes."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of points; its kind is the class by which the page colours it."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: str
    has_dots: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A named axis and its limits."""

    name: str
    low: float
    high: float
    format: str = "{:.3g}"
    """For one number, as in str.format."""
    unit: float = 0.0
    """What ticks are multiples of, for a format that shows no less; 0 is anything."""

    def ticks(self) -> list[float]:
        """Round numbers between the ends."""
        from matplotlib.ticker import MaxNLocator

        unit = self.unit or 1.0
        locator = MaxNLocator(TICKS, steps=[1, 2, 5, 10], integer=bool(self.unit))
        values = [unit * float(value) for value in locator.tick_values(self.low / unit, self.high / unit)]
        slack = 1e-6 * (self.high - self.low)
        return [value for value in values if self.low - slack <= value <= self.high + slack]

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two ends."""
        span = self.high - self.low or 1.0
        return start + (value - self.low) / span * (end - start)


def curve_chart(rows: Sequence[EpochRow], what: str, words: Words) -> str:
    """Draw accuracy or loss by epoch, training and validation, stage changes marked.

    Args:
        rows: epochs so far, one at least.
        what: accuracy or loss.
        words: of the page's language.
    """
    lines = [
        Line(words(name), [(row.epoch, getattr(row, f"{kind}_{what}")) for row in rows], kind, len(rows) < MANY)
        for name, kind in (("training", "train"), ("validation", "val"))
    ]
    values = [y for line in lines for _, y in line.points if math.isfinite(y)]
    up = (
        Axis(words(what), max(0.0, min(values) - 0.02), 1.0, *PERCENT)
        if what == "accuracy"
        else Axis(words(what), 0.0, max(values))
    )
    changes = [
        ((before.epoch + after.epoch) / 2, words("stage", number=after.stage))
        for before, after in pairwise(rows)
        if before.stage != after.stage
    ]
    first, last = rows[0].epoch, rows[-1].epoch
    across = Axis(words("epoch"), first, max(last, first + 1), *WHOLE)
    return line_chart(lines, across, up, marks=changes, title=f"{words(what)} / {words('epoch')}")


def line_chart(
    lines: Sequence[Line], across: Axis, up: Axis, *, marks: Sequence[tuple[float, str]] = (), title: str
) -> str:
    """Draw lines over two axes: a figure whose caption is the legend, so that it finds room on any screen.

    Args:
        lines: drawn in order, named above the chart.
        across: the horizontal axis.
        up: the vertical one.
        marks: places across where a dashed line stands, with its name.
        title: said by screen readers.
    """
    legend = "".join(f'<span class="{line.kind}">{escape(line.name)}</span>' for line in lines)
    parts = [
        f'<figure class="chart"><figcaption>{legend}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">',
        *_grid(across, up),
        *[part for line in lines for part in _line(line, across, up)],
        *_marks([(across.place(place, LEFT, WIDTH - RIGHT), name) for place, name in marks]),
        "</svg></figure>",
    ]
    return "".join(parts)


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = []
    for value in up.ticks():
        y = up.place(value, HEIGHT - BOTTOM, TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_shown(up, value)}</text>')
    for value in across.ticks():
        x = across.place(value, LEFT, WIDTH - RIGHT)
        anchor = "end" if x > WIDTH - RIGHT - 2 else "start" if x < LEFT + 2 else "middle"
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="{anchor}">{_shown(across, value)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across.name)}</text>')
    parts.append(f'<text x="6" y="{TOP - 18}">{escape(up.name)}</text>')
    return parts


def _marks(marks: Sequence[tuple[float, str]]) -> list[str]:
    """Dashed lines with their names, each beside its line and beneath a name that stands too near."""
    parts, row, free_from = [], 0, 0.0
    for x, name in marks:
        is_at_end = x + ROOM > WIDTH
        left = x - ROOM if is_at_end else x
        row = row + 1 if left < free_from else 0
        free_from = left + ROOM
        place, anchor = (x - 4, "end") if is_at_end else (x + 4, "start")
        at = f'x="{place:.1f}" y="{TOP + 16 + ROW * row}" text-anchor="{anchor}"'
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="mark" {at}>{escape(name)}</text>')
    return parts


def _shown(axis: Axis, value: float) -> str:
    return escape(axis.format.format(value))


def _line(line: Line, across: Axis, up: Axis) -> list[str]:
    places = [
        (across.place(x, LEFT, WIDTH - RIGHT), up.place(min(max(y, up.low), up.high), HEIGHT - BOTTOM, TOP))
        for x, y in line.points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = (
        [f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places] if line.has_dots else []
    )
    return [f'<polyline class="{line.kind}" points="{path}"/>', *dots]
