"""Pictures of a run: curves, confusion matrix, one training batch."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from frostline.files import atomic_write
from frostline.training.history import EpochRow, StepRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Noto Serif CJK SC", "Noto Sans CJK JP",
)  # fmt: skip
FONT_ADVICE = "no font here has these characters; install one, e.g. `apt-get install fonts-noto-cjk`, and plot again"
MOST_NAMED_CLASSES = 40
SIDE, NAME, GAP = 160, 30, 16
"""Pixels of a picture of a batch, of the line with its name, and from one to the next."""
DPI = 120
QUICK = {"compress_level": 2}
"""Of PNG: a tenth more bytes in a third of the time."""
MEANS_ACROSS = 50
"""Running means of a stepwise curve that do not overlap, across its width."""
TRAIN, VAL, CHANGE = "#7a8ba3", "#0b6bcb", "#b0413e"


@contextmanager
def _style() -> Iterator[None]:
    """Our fonts, for this plot alone: a list of families, so that a missing glyph is looked for in the next one."""
    from matplotlib import font_manager, rc_context

    present = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in CHINESE_FONTS if name in present)]
    with rc_context(
        {
            "font.family": families,
            "text.parse_math": False,  # a class may be called "$5"
            "agg.path.chunksize": 10_000,  # a long, wild line is more than Agg can draw at once
        }
    ):
        yield


@_style()
def plot_curves(path: Path, rows: Sequence[EpochRow], steps: Sequence[StepRow] = ()) -> None:
    """Draw loss and accuracy by epoch, training and validation, and the loss of every step; stage changes are marked.

    Args:
        path: of the PNG.
        rows: all epochs; 0 is the fitted head.
        steps: all steps.
    """
    figure, (left, right, below) = _figure(11, 7.6, mosaic=[["loss", "accuracy"], ["steps", "steps"]])
    epochs = [row.epoch for row in rows]
    for axes, name in ((left, "loss"), (right, "accuracy")):
        for split, colour in (("train", TRAIN), ("val", VAL)):
            values = [getattr(row, f"{split}_{name}") for row in rows]
            axes.plot(epochs, values, color=colour, label=split, marker="o", markersize=3)
        if rows and name == "accuracy":
            top = max(rows, key=lambda row: row.val_accuracy)
            label = f"highest val: {top.val_accuracy:.1%}, epoch {top.epoch}"
            axes.plot(top.epoch, top.val_accuracy, "*", color=VAL, markeredgecolor="white", markersize=14, label=label)
        _mark_stages(axes, [row.stage for row in rows], epochs)
        _finish_axes(axes, "epoch", name)
    right.yaxis.set_major_formatter(_percent)
    _draw_steps(below, steps)
    _save(figure, path)


def _percent(share: float, _: int) -> str:
    return f"{100 * share:.4g}%"


def _draw_steps(axes: Any, steps: Sequence[StepRow]) -> None:
    """Draw each step's loss as a thin line, and over it a running mean that starts anew with each stage."""
    numbers = [row.step for row in steps]
    losses = np.array([row.loss for row in steps])
    stages = [row.stage for row in steps]
    window = max(1, round(len(steps) / MEANS_ACROSS))
    axes.plot(numbers, losses, color=TRAIN, linewidth=0.6, alpha=0.6, label="each step")
    if window > 1:
        _draw_means(axes, steps, window)
        axes.set_ylim(_focus(losses))
    _mark_stages(axes, stages, numbers)
    _finish_axes(axes, "step", "training loss")


def _draw_means(axes: Any, steps: Sequence[StepRow], window: int) -> None:
    label = f"mean of {window} steps"
    for _, inside in groupby(steps, key=lambda row: row.stage):
        rows = list(inside)
        means = running_mean(np.array([row.loss for row in rows]), window)
        axes.plot([row.step for row in rows], means, color=VAL, linewidth=1.6, label=label)
        label = "_"  # one line of the legend stands for all


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and those before it, `window` in all (fewer at the start).

    >>> running_mean(np.array([4.0, 2.0, 0.0, 1.0]), 2).tolist()
    [4.0, 3.0, 1.0, 0.5]
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _focus(losses: np.ndarray) -> tuple[float, float]:
    """Limits that show all but the wildest steps, which would flatten the others."""
    low, high = float(losses.min()), float(np.quantile(losses, 0.995))
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _mark_stages(axes: Any, stages: Sequence[int], places: Sequence[int]) -> None:
    """Draw a line half-way between the last place of a stage and the first of the next."""
    for (before, start), (after, end) in pairwise(zip(stages, places, strict=True)):
        if before != after:
            middle = (start + end) / 2
            axes.axvline(middle, color=CHANGE, linestyle="--", linewidth=1)
            axes.annotate(
                f"stage {after}",
                (middle, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -11),
                textcoords="offset points",
                fontsize=8,
                color=CHANGE,
            )


def _finish_axes(axes: Any, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9)  # never over a line


@_style()
def plot_confusion(path: Path, confusion: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> str:
    """Draw a confusion matrix, rows normalised; give advice about fonts, or ""."""
    counts = np.array(confusion)
    size = float(np.clip(2.5 + 0.5 * len(classes), 4, 18))
    figure, (axes,) = _figure(size + 1, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    if len(classes) <= MOST_NAMED_CLASSES:
        axes.set_xticks(range(len(classes)), classes, **_label_angle(classes))
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(counts > 0):
            colour = "white" if shares[row, column] > 0.5 else "#333333"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    return _save(figure, path)


def _label_angle(classes: Sequence[str]) -> dict[str, Any]:
    return {"rotation": 45, "ha": "right"} if max(map(len, classes)) > 2 else {}


@_style()
def plot_batch(path: Path, pixels: np.ndarray, names: Sequence[str]) -> str:
    """Draw pictures as the network sees them, with their class names; give advice about fonts, or "".

    Args:
        path: of the PNG.
        pixels: uint8 (pictures, channels, height, width).
        names: class of each.
    """
    columns = min(8, len(names))
    rows = -(-len(names) // columns)
    sheet = np.full((rows * (SIDE + NAME), columns * (SIDE + GAP)), 255, dtype=np.uint8)
    sheet = np.repeat(sheet[..., None], 3, axis=2)
    figure = _canvas(sheet.shape[1] / DPI, sheet.shape[0] / DPI)  # axes for each would take a second more
    for place, (picture, name) in enumerate(zip(pixels, names, strict=True)):
        top, left = place // columns * (SIDE + NAME) + NAME, place % columns * (SIDE + GAP) + GAP // 2
        sheet[top : top + SIDE, left : left + SIDE] = _thumbnail(picture)
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        x, y = (left + SIDE / 2) / sheet.shape[1], 1 - (top - NAME / 5) / sheet.shape[0]
        figure.text(x, y, shown, ha="center", va="bottom", fontsize=9)
    figure.figimage(sheet, zorder=-1)
    return _save(figure, path)


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture (channels, height, width) in colour at the size at which it is drawn."""
    picture = Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).convert("RGB")
    way = Image.Resampling.NEAREST if picture.width < SIDE else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((SIDE, SIDE), way))


def _figure(
    width: float, height: float, *, columns: int = 1, rows: int = 1, mosaic: list[list[str]] | None = None
) -> "tuple[Figure, list[Any]]":
    figure = _canvas(width, height, layout="constrained")
    if mosaic:
        return figure, list(figure.subplot_mosaic(mosaic).values())
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _canvas(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> str:
    """Write the PNG; give advice where characters had no glyph."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        atomic_write(path, lambda temporary: figure.savefig(temporary, format="png", dpi=DPI, pil_kwargs=QUICK))
    return FONT_ADVICE if any("missing from" in str(warning.message) for warning in caught) else ""
