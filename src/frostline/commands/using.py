"""A trained model at work."""

from pathlib import Path
from typing import Annotated

import typer

from frostline.commands.flags import Device, Engine, Precision, choose, show
from frostline.console import Terminal
from frostline.errors import FrostlineError


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    topk: Annotated[int, typer.Option(min=1, help="Classes to give per picture.")] = 5,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    device: Device = "auto",
    precision: Precision = "auto",
    engine: Engine = "auto",
) -> None:
    """Name what is in pictures."""
    from frostline import api

    choose("--format", format, ("table", "csv", "json"))
    predictions = api.load(run, device=device, precision=precision, engine=engine).predict(paths, topk=topk)
    from frostline.tables import predictions_csv, predictions_json, predictions_table  # what it needs is loaded by now

    write = {"table": predictions_table, "csv": predictions_csv, "json": predictions_json}
    show(write[format](predictions))
    damaged = [prediction for prediction in predictions if prediction.error]
    if damaged:
        Terminal().warn(f"{len(damaged)} of {len(predictions)} pictures could not be read")
    if len(damaged) == len(predictions):
        raise FrostlineError("no picture could be read; give JPEG, PNG, WebP, BMP, TIFF or GIF files")


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
