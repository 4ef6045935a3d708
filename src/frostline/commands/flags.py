"""What commands have in common: flags derived from the settings, choices checked, text printed."""

import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from frostline.config import TrainConfig
from frostline.errors import UsageError

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
Engine = Annotated[str, typer.Option(help="auto, torch or openvino.")]


def show(text: str = "") -> None:
    """Print to stdout."""
    sys.stdout.write(f"{text}\n")


def choose(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check a choice.

    Raises:
        UsageError: it is not among what is allowed.
    """
    if value not in allowed:
        raise UsageError(f"{flag} {value!r} is not known; allowed are {', '.join(allowed)}")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
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
