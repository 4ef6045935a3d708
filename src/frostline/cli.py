"""The command line: parse, call the command, turn every error into one line and an exit code."""

import atexit
import gc
import signal
import sys
from typing import Annotated

import typer

from frostline.columns import printable
from frostline.commands import cache, judging, lookup, serving, training, using
from frostline.commands.flags import show
from frostline.errors import FrostlineError, UsageError
from frostline.limits import naming_limits
from frostline.version import __version__

INTERRUPTED, TERMINATED = 130, 143
PATIENCE = (50_000, 20, 100)
"""New objects before the youngest are looked through for garbage, and how often that is done before older ones are.
Python's 700, 10, 10 go through a million objects that the libraries keep for good: a sixth of a short run."""
ParserError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Base of what the parser raises: typer carries its own copy of click in newer releases."""

app = typer.Typer(
    name="frostline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Transfer learning for image classification that computes a frozen layer once.",
)

COMMANDS = (
    *(training.train, training.plan, training.quickstart),
    *(judging.evaluate, judging.report, judging.compare, judging.inspect),
    *(using.predict, using.info, using.export, serving.serve),
    *(lookup.import_weights, lookup.recipes, lookup.summary),
)
for command in COMMANDS:
    app.command(command.__name__.replace("_", "-"))(command)

cache_app = typer.Typer(no_args_is_help=True, help="List, check and shrink the store of activations.")
for command in (cache.ls, cache.verify, cache.prune):
    cache_app.command()(command)
app.add_typer(cache_app, name="cache")


class Terminated(SystemExit):
    """Raised by SIGTERM, so that files are closed and locks released."""


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(*PATIENCE)
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


def _version(value: bool) -> None:
    if value:
        show(f"frostline {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Transfer learning for image classification that computes a frozen layer once."""
