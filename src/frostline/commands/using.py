"""A trained model at work."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.columns import printable
from frostline.commands.flags import Device, Engine, Precision, choose, show
from frostline.console import Terminal
from frostline.defaults import THRESHOLD, TOPK
from frostline.errors import FrostlineError, UsageError
from frostline.importing import leave_garbage

if TYPE_CHECKING:
    from frostline.data.targets import Targets
    from frostline.predictor import Prediction, Predictor

NAMED_DAMAGES = 20
"""Pictures that could not be read, up to which each is named."""


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, folders, patterns, a .csv or .parquet file with a column path, addresses (http), or -: "
            "paths from standard input, one a line."
        ),
    ],
    topk: Annotated[int, typer.Option(min=1, help="Classes to give per picture.")] = TOPK,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="First probability below which an answer is unsure.")
    ] = THRESHOLD,
    format: Annotated[
        str | None, typer.Option(help="table, csv, json, jsonl or parquet [default: by the ending of --out, or table].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the answers [default: standard output].")] = None,
    sort_into: Annotated[
        Path | None, typer.Option(help="Folder to sort the pictures into, by class; the unsure ones apart.")
    ] = None,
    copies: Annotated[bool, typer.Option("--copies", help="Sort copies, not links.")] = False,
    heat_maps: Annotated[
        Path | None, typer.Option(help="Folder for pictures that show what spoke for the answer.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    engine: Engine = "auto",
) -> None:
    """Name what is in pictures."""
    from frostline import api

    with leave_garbage():
        from frostline.answers import FORMATS, format_of, save_answers, write_answers
        from frostline.data.targets import Targets
        from frostline.heat import draw_heat_maps, make_folder
    chosen = format or (format_of(out) if out else "table")
    choose("--format", chosen, FORMATS)
    if chosen == "parquet" and out is None:
        raise UsageError("--format parquet cannot be shown; give --out FILE.parquet")
    model = api.load(run, device=device, precision=precision, engine=engine)
    targets = Targets.find(paths)
    if heat_maps:
        make_folder(heat_maps)
    if out and out.resolve() in {Path(picture.path).resolve() for picture in targets.pictures}:
        raise UsageError(f"--out {out} is one of the pictures; give another path")
    watched = _Watched(model, targets, topk, threshold, sort_into, copies)
    if out:
        save_answers(watched, chosen, min(topk, len(model.classes)), out)
        unsure = sum(one.unsure for one in watched.kept)
        show(f"wrote {out}: {len(watched.kept)} pictures, {unsure} of them unsure")
    else:
        write_answers(watched, chosen, min(topk, len(model.classes)), sys.stdout)
    if heat_maps:
        draw_heat_maps(model, targets, watched.kept, heat_maps)
    watched.end()


def info(
    model: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    format: Annotated[str, typer.Option(help="table, json, or markdown: a model card for a hub.")] = "table",
) -> None:
    """Show what a model is: classes, input, how it was made, how good it was."""
    from frostline import api
    from frostline.columns import table
    from frostline.tables import to_json

    choose("--format", format, ("table", "json", "markdown"))
    card = api.card(model)
    if format == "table":
        show(table(("", str(card.path)), card.rows()))
    else:
        show(to_json(card.to_json()) if format == "json" else card.markdown().rstrip())


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    format: Annotated[
        str, typer.Option(help="onnx, onnx-uint8, onnx-int8, openvino, openvino-int8 or torch.")
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="New file [default: in RUN/export].")] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled pictures to check it with [default: the run's validation pictures].")
    ] = None,
) -> None:
    """Write a model in a format that others read, and check it on real pictures."""
    from frostline import api

    done = api.export_model(run, format=format, out=out, data=data)
    model, *others = done.files
    size = sum(file.stat().st_size for file in done.files)
    show(f"wrote {model}, and beside it {', '.join(file.name for file in others)}: {size / 1e6:.1f} MB")
    parity = done.parity
    show(
        f"checked on {parity.pictures} pictures: probabilities differ by {parity.largest_difference:.2g} at most from "
        f"torch in float32, the first class is the same on {parity.agreement:.1%}"
    )
    if parity.accuracy and parity.times_faster:
        before, after = parity.accuracy
        show(f"accuracy {before:.1%} before, {after:.1%} in eight bits; {parity.times_faster:.1f} times faster here")


class _Watched:
    """Predictions on their way: counted, shown as a bar, sorted into folders."""

    def __init__(
        self, model: "Predictor", targets: "Targets", topk: int, threshold: float, root: Path | None, copies: bool
    ) -> None:
        from frostline.sorting import Sorter

        self._terminal = Terminal()
        self._targets = targets
        self._sorter = Sorter(root, model.classes, as_copies=copies) if root else None
        self._predictions = model.predictions(targets, topk=topk, threshold=threshold)
        self.kept: list[Prediction] = []

    def __iter__(self) -> "Iterator[Prediction]":
        with self._terminal.bar(len(self._targets.pictures), "pictures") as advance:
            for prediction in self._predictions:
                self.kept.append(prediction)
                if self._sorter:
                    self._sorter.put(prediction)
                advance(1)
                yield prediction

    def end(self) -> None:
        """Name what could not be read.

        Raises:
            FrostlineError: nothing could.
        """
        damaged = [prediction for prediction in self.kept if prediction.error]
        for one in damaged[:NAMED_DAMAGES]:
            self._terminal.warn(printable(f"{one.path} could not be read: {one.error}"))
        if len(damaged) > NAMED_DAMAGES:
            self._terminal.warn(f"{len(damaged)} of {len(self.kept)} pictures could not be read")
        if self.kept and len(damaged) == len(self.kept):
            raise FrostlineError("no picture could be read; give JPEG, PNG, WebP, BMP, TIFF or GIF files")
