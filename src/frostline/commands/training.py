"""Training, its price, and the quickstart."""

from pathlib import Path
from typing import Annotated, Any

import typer

from frostline.commands.flags import show, with_settings
from frostline.console import Terminal


@with_settings
def train(data: str, config: Path | None, given: dict[str, Any]) -> None:
    """Train a classifier on labelled pictures and write a run folder."""
    from frostline import api

    run = api.train(data, reporter=Terminal(), config=config, **given)
    if run.metrics:
        show(_result(run))


@with_settings
def plan(data: str, config: Path | None, given: dict[str, Any]) -> None:
    """Show what a training would cost, stage by stage; trains nothing."""
    from frostline import api
    from frostline.tables import plan_table

    show(plan_table(api.plan(data, reporter=Terminal(), config=config, **given)))


def quickstart(out: Annotated[Path | None, typer.Option(help="Run folder.")] = None) -> None:
    """Do the main job on what ships with the package; needs no network."""
    from frostline import api
    from frostline.quickstart import NEXT_STEPS, SETTINGS

    run = api.train("digits", reporter=Terminal(), **SETTINGS, **({"out": out} if out else {}))
    show(_result(run))
    show(NEXT_STEPS.format(run=run.path))


def _result(run: Any) -> str:
    """The last lines of a training."""
    metrics = run.metrics
    val, test = metrics["val"], metrics["test"]
    shown = f"validation {val['accuracy']:.1%}"
    if test["accuracy"] is not None:
        low, high = test["interval"]
        shown += f", test {test['accuracy']:.1%} ({low:.1%} to {high:.1%}; {test['count']} pictures, read once)"
    rows, computed = metrics["activations"]["rows"], metrics["activations"]["computed"]
    return (
        f"best epoch {metrics['best']['epoch']}: {shown}\n"
        f"{metrics['seconds']['total']:.1f} s; {rows} rows of activations, {computed} of them computed now\n"
        f"what to make of it: {run.folder.report}\n"
        f"run folder {run.path}"
    )
