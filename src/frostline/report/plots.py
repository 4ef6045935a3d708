"""Pictures of a run: curves, confusion matrix, one training batch."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frostline.files import atomic_write
from frostline.training.history import EpochRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Noto Serif CJK SC", "Noto Sans CJK JP",
)  # fmt: skip
FONT_ADVICE = "no font here has these characters; install one, e.g. `apt-get install fonts-noto-cjk`, and plot again"
MOST_NAMED_CLASSES = 40


@contextmanager
def _style() -> Iterator[None]:
    """Our fonts, for this plot alone: a list of families, so that a missing glyph is looked for in the next one."""
    from matplotlib import font_manager, rc_context

    present = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in CHINESE_FONTS if name in present)]
    with rc_context({"font.family": families, "text.parse_math": False}):  # a class may be called "$5"
        yield


@_style()
def plot_curves(path: Path, rows: Sequence[EpochRow]) -> None:
    """Draw loss and accuracy by epoch, training and validation, with stage changes marked."""
    figure, (left, right) = _figure(11, 4.2, columns=2)
    epochs = [row.epoch for row in rows]
    for axes, name in ((left, "loss"), (right, "accuracy")):
        for split, colour in (("train", "#7a8ba3"), ("val", "#0b6bcb")):
            values = [getattr(row, f"{split}_{name}") for row in rows]
            axes.plot(epochs, values, color=colour, label=split, marker="o", markersize=3)
        for before, after in pairwise(rows):
            if before.stage != after.stage:
                axes.axvline((before.epoch + after.epoch) / 2, color="#b0413e", linestyle="--", linewidth=1)
                axes.annotate(
                    f"stage {after.stage}",
                    ((before.epoch + after.epoch) / 2, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -11),
                    textcoords="offset points",
                    fontsize=8,
                    color="#b0413e",
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


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
    figure, axes = _figure(1.5 * columns, 1.7 * rows, columns=columns, rows=rows)
    for place, ax in enumerate(axes):
        ax.axis("off")
        if place < len(names):
            ax.imshow(pixels[place].transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
            ax.set_title(names[place] if len(names[place]) <= 18 else f"{names[place][:17]}…", fontsize=9)
    return _save(figure, path)


def _figure(width: float, height: float, *, columns: int = 1, rows: int = 1) -> "tuple[Figure, list[Any]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _save(figure: "Figure", path: Path) -> str:
    """Write the PNG; give advice where characters had no glyph."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        atomic_write(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))
    return FONT_ADVICE if any("missing from" in str(warning.message) for warning in caught) else ""
