"""How good a model is, and what its pictures are like."""

from pathlib import Path
from typing import Annotated

import typer

from frostline.commands.flags import Device, Engine, Precision, choose, show
from frostline.config import TrainConfig
from frostline.console import Terminal


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or a bundle where DATA is given.")],
    data: Annotated[str | None, typer.Argument(help="Other pictures to measure on.")] = None,
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
    device: Device = "auto",
    precision: Precision = "auto",
    engine: Engine = "auto",
) -> None:
    """Measure a trained model on its own sealed split, or on other pictures."""
    from frostline import api
    from frostline.tables import metrics_table, to_json

    choose("--format", format, ("table", "json"))
    metrics = api.evaluate(run, data, reporter=Terminal(), device=device, precision=precision, engine=engine)
    show(to_json(metrics) if format == "json" else metrics_table(metrics))


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    lang: Annotated[str, typer.Option(help="auto, en or zh.")] = "auto",
) -> None:
    """Write the report of a finished run, one page to read or send on."""
    from frostline import api

    show(str(api.write_report(run, lang=lang)))


def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Another, trained on the same pictures.")],
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Tell whether one run is better than another, on the pictures that neither was trained on."""
    from dataclasses import asdict

    from frostline import api
    from frostline.tables import comparison_table, to_json

    choose("--format", format, ("table", "json"))
    split, found = api.compare(first, second)
    show(to_json({"split": split, **asdict(found)}) if format == "json" else comparison_table(split, found))


def inspect(
    data: Annotated[str, typer.Argument(help=TrainConfig.model_fields["data"].description)],
    json: Annotated[Path | None, typer.Option("--json", help="Write everything that was found to this file.")] = None,
    device: Device = "auto",
) -> None:
    """Look at every picture: damaged ones, copies, leaks between splits, labels that contradict each other, blanks."""
    from frostline import api
    from frostline.files import write_text
    from frostline.tables import inspection_table, to_json

    found = api.inspect(data, reporter=Terminal(), device=device)
    show(inspection_table(found))
    if json:
        write_text(json, to_json(found.to_json()))
