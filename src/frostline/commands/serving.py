"""A model behind HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from frostline.commands.flags import Device, Engine, Precision
from frostline.console import Terminal
from frostline.defaults import MAX_PIXELS, THRESHOLD, TOPK
from frostline.errors import ConfigError
from frostline.units import parse_bytes


def serve(
    run: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least probability of a sure answer.")] = THRESHOLD,
    topk: Annotated[int, typer.Option(min=1, max=1000, help="Classes to give where a request does not say.")] = TOPK,
    max_body: Annotated[str, typer.Option(help="Size of a request, such as 20MB.")] = "20MB",
    max_pixels: Annotated[int, typer.Option(min=1, help="Of a picture.")] = MAX_PIXELS,
    max_pictures: Annotated[int, typer.Option(min=1, help="Of a request.")] = 64,
    queue: Annotated[int, typer.Option(min=1, help="Pictures that may wait at once.")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a request.")] = 30.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that decode; one per core.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="Holds a key to ask for; or FROSTLINE_API_KEY.")] = None,
    allowed_host: Annotated[list[str] | None, typer.Option(help="Name it may be asked under; repeatable.")] = None,
    corrections: Annotated[Path | None, typer.Option(help="Save corrected pictures here, by class.")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    engine: Engine = "auto",
) -> None:
    """Answer over HTTP: an API for programs, a page for people."""
    from frostline.data.loader import default_workers
    from frostline.serve.settings import Settings, check_installed, read_api_key

    check_installed()
    if queue < max_pictures:
        raise ConfigError(f"--queue {queue} is less than --max-pictures {max_pictures}; raise it, or lower the other")
    settings = Settings(
        host=host,
        port=port,
        threshold=threshold,
        topk=topk,
        max_body=parse_bytes(max_body, least=1),
        max_pixels=max_pixels,
        max_pictures=max_pictures,
        queue=queue,
        timeout=timeout,
        workers=workers or default_workers(),
        api_key=read_api_key(api_key_file),
        allowed_hosts=tuple(name.lower() for name in allowed_host or ()),
        corrections=corrections,
    )
    terminal = Terminal()
    if not settings.is_local and not settings.api_key:
        terminal.warn(f"whoever reaches {host}:{port} may use it; give --api-key-file, or a proxy that asks")
    from frostline.serve.server import serve as serve_until_stopped

    serve_until_stopped(run, settings, device=device, precision=precision, engine=engine, say=terminal.say)
