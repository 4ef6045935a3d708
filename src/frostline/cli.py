"""The command line: parse, call the API, print, exit with a code. Nothing heavy is imported before a command runs."""

import atexit
import gc
import signal
import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from frostline.columns import printable
from frostline.config import TrainConfig
from frostline.console import Terminal
from frostline.errors import FrostlineError, UsageError
from frostline.limits import naming_limits
from frostline.version import __version__

INTERRUPTED, TERMINATED = 130, 143
ParserError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Base of what the parser raises: typer carries its own copy of click in newer releases."""

app = typer.Typer(
    name="frostline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Transfer learning for image classification that computes a frozen layer once.",
)
cache_app = typer.Typer(no_args_is_help=True, help="List, check and shrink the store of activations.")
app.add_typer(cache_app, name="cache")


class Terminated(SystemExit):
    """Raised by SIGTERM, so that files are closed and locks released."""


def main() -> None:
    """Run the command line and exit."""
    atexit.register(gc.freeze)  # to look through all for garbage once more before the end takes most of a second
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with naming_limits():
            returned = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except ParserError as error:
        _fail(f"{_one_line(error)}; see frostline {_command()}--help", UsageError.exit_code)
    except FrostlineError as error:
        _fail(_one_line(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; a training goes on with --resume --out RUN", INTERRUPTED)
    except Terminated:
        _fail("terminated; a training goes on with --resume --out RUN", TERMINATED)
    if returned == INTERRUPTED:  # typer turns Ctrl-C into a returned exit code
        _fail("interrupted; a training goes on with --resume --out RUN", INTERRUPTED)


def _terminate(*_: object) -> None:
    raise Terminated(TERMINATED)


def _one_line(error: BaseException) -> str:
    said = getattr(error, "format_message", error.__str__)()
    return printable(" ".join(str(said).split("\n")).rstrip("."))


def _command() -> str:
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    return f"{sys.argv[1]} " if len(sys.argv) > 1 and sys.argv[1] in names else ""


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"frostline: {message}\n")
    sys.exit(code)


def _print(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags that `TrainConfig` defines; it receives those that were used."""

    def run(data: str, config: Path | None, **given: Any) -> None:
        command(data, config, {name: value for name, value in given.items() if value is not None})

    parameters = [
        Parameter(
            "data",
            Parameter.KEYWORD_ONLY,
            annotation=Annotated[str, typer.Argument(help=TrainConfig.model_fields["data"].description)],
        ),
        Parameter(
            "config",
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Path | None, typer.Option(help="YAML file of settings; flags go before it.")],
        ),
    ]
    parameters += [_flag(name, field) for name, field in TrainConfig.model_fields.items() if name != "data"]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def _flag(name: str, field: FieldInfo) -> Parameter:
    flag = f"--{name.replace('_', '-')}"
    kind, default = _plain_type(field.annotation), field.default
    allowed = "|".join(map(str, get_args(field.annotation))) if get_origin(field.annotation) is Literal else None
    shown = "" if default is None or kind is bool else f" [default: {default}]"
    declared = f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag
    option = typer.Option(declared, help=f"{field.description}{shown}", show_default=False, metavar=allowed)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def _plain_type(annotation: Any) -> Any:
    """The type that the parser reads; ranges and choices are left to `TrainConfig`, which words them better."""
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    kinds = [kind for kind in (annotation, *get_args(annotation)) if kind is not type(None) and kind != annotation]
    kinds = kinds or [annotation]
    return kinds[0] if len(kinds) == 1 and kinds[0] in {bool, int, float, str, Path} else str


@app.command()
@_with_settings
def train(data: str, config: Path | None, given: dict[str, Any]) -> None:
    """Train a classifier on labelled pictures and write a run folder."""
    from frostline import api

    run = api.train(data, reporter=Terminal(), config=config, **given)
    if run.metrics:
        _print(_result(run))


@app.command()
@_with_settings
def plan(data: str, config: Path | None, given: dict[str, Any]) -> None:
    """Show what a training would cost, stage by stage; trains nothing."""
    from frostline import api
    from frostline.tables import plan_table

    _print(plan_table(api.plan(data, reporter=Terminal(), config=config, **given)))


@app.command()
def quickstart(out: Annotated[Path | None, typer.Option(help="Run folder.")] = None) -> None:
    """Do the main job on what ships with the package; needs no network."""
    from frostline import api
    from frostline.quickstart import NEXT_STEPS, SETTINGS

    run = api.train("digits", reporter=Terminal(), **SETTINGS, **({"out": out} if out else {}))
    _print(_result(run))
    _print(NEXT_STEPS.format(run=run.path))


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
Engine = Annotated[str, typer.Option(help="auto, torch or openvino.")]


@app.command()
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

    _choose("--format", format, ("table", "json"))
    metrics = api.evaluate(run, data, reporter=Terminal(), device=device, precision=precision, engine=engine)
    _print(to_json(metrics) if format == "json" else metrics_table(metrics))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    lang: Annotated[str, typer.Option(help="auto, en or zh.")] = "auto",
) -> None:
    """Write the report of a finished run, one page to read or send on."""
    from frostline import api

    _print(str(api.write_report(run, lang=lang)))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Another, trained on the same pictures.")],
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Tell whether one run is better than another, on the pictures that neither was trained on."""
    from dataclasses import asdict

    from frostline import api
    from frostline.tables import comparison_table, to_json

    _choose("--format", format, ("table", "json"))
    split, found = api.compare(first, second)
    _print(to_json({"split": split, **asdict(found)}) if format == "json" else comparison_table(split, found))


@app.command()
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
    _print(inspection_table(found))
    if json:
        write_text(json, to_json(found.to_json()))


@app.command()
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

    _choose("--format", format, ("table", "csv", "json"))
    predictions = api.load(run, device=device, precision=precision, engine=engine).predict(paths, topk=topk)
    from frostline.tables import predictions_csv, predictions_json, predictions_table  # what it needs is loaded by now

    write = {"table": predictions_table, "csv": predictions_csv, "json": predictions_json}
    _print(write[format](predictions))
    damaged = [prediction for prediction in predictions if prediction.error]
    if damaged:
        Terminal().warn(f"{len(damaged)} of {len(predictions)} pictures could not be read")
    if len(damaged) == len(predictions):
        raise FrostlineError("no picture could be read; give JPEG, PNG, WebP, BMP, TIFF or GIF files")


@app.command("import-weights")
def import_weights(
    file: Annotated[Path, typer.Argument(help="Pickle of weights: .pth or .pt.")],
    out: Annotated[Path | None, typer.Option(help="New file [default: FILE with the ending .safetensors].")] = None,
) -> None:
    """Take the tensors of a pickle over into a safetensors file for --weights; no code in it is run."""
    from frostline import api

    done = api.import_weights(file, out)
    _print(f"wrote {done.path}: {done.tensors} tensors, {done.bytes / 1e6:.1f} MB")
    if done.left_out:
        from frostline.data.pictures import first_few

        _print(f"left out, for they are no tensors of the state dict: {printable(first_few(done.left_out))}")


@app.command()
def recipes(name: Annotated[str | None, typer.Argument(help="One recipe, to see it whole.")] = None) -> None:
    """List the recipes that ship with frostline, or show one."""
    from frostline.recipes.catalog import load_recipe, recipe_names
    from frostline.recipes.show import recipe_table, recipe_text

    _print(recipe_text(load_recipe(name)) if name else recipe_table([load_recipe(n) for n in recipe_names()]))


@app.command()
def summary(
    model: Annotated[str, typer.Argument(help="Network, as for --model.")],
    input: Annotated[str | None, typer.Option(help="Channels x height x width, e.g. 3x224x224.")] = None,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 1000,
    head: Annotated[str, typer.Option(help="Head, as for training.")] = "official",
) -> None:
    """Show a network's layers and the places where it can be cut."""
    from frostline.tables import summary_table

    _print(summary_table(model, input, classes, head))


@cache_app.command("ls")
def cache_ls(cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None) -> None:
    """List the stores of activations, most recently used first."""
    from frostline.activations.housekeeping import list_stores
    from frostline.files import default_cache_dir
    from frostline.tables import stores_table

    _print(stores_table(list_stores(cache_dir or default_cache_dir())))


@cache_app.command("verify")
def cache_verify(cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None) -> None:
    """Check every stored activation against its digest; remove what is damaged or foreign."""
    from frostline.activations.housekeeping import verify_stores
    from frostline.files import default_cache_dir

    damaged = verify_stores(cache_dir or default_cache_dir())
    for path in damaged:
        _print(f"removed {path}: damaged or foreign; its rows are computed again when needed")
    if not damaged:
        _print("every shard is intact")


@cache_app.command("prune")
def cache_prune(
    limit: Annotated[str, typer.Option(help="Size to shrink to, e.g. 5GB; 0B removes all.")] = "20GB",
    cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None,
) -> None:
    """Remove the least recently used stores above a size."""
    from frostline.activations.housekeeping import prune_stores
    from frostline.config import parse_bytes
    from frostline.files import default_cache_dir

    removed = prune_stores(cache_dir or default_cache_dir(), parse_bytes(limit))
    _print(f"removed {len(removed)} stores, {sum(store.bytes for store in removed) / 1e6:.0f} MB")


def _version(value: bool) -> None:
    if value:
        _print(f"frostline {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Transfer learning for image classification that computes a frozen layer once."""


def _choose(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{flag} {value!r} is not known; allowed are {', '.join(allowed)}")


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
