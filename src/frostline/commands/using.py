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
