"""Starts a server, and stops it when asked."""

import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from frostline.errors import UsageError
from frostline.files import RunFolder, digest_file
from frostline.predictor import Predictor
from frostline.serve.answers import About, Limits
from frostline.serve.app import make_app
from frostline.serve.corrections import Corrections
from frostline.serve.service import Service
from frostline.serve.settings import Settings
from frostline.version import __version__

BACKLOG = 2048
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than nginx keeps one, which could otherwise use a closed one."""


def serve(
    run: Path, settings: Settings, *, device: str, precision: str, engine: str, say: Callable[[str], None]
) -> None:
    """Serve a model until SIGTERM or SIGINT; what was begun by then is finished.

    Args:
        run: folder or bundle.
        settings: of the server.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32 or bf16.
        engine: auto, torch or openvino.
        say: told where it is, once it answers.

    Raises:
        BundleError: there is no sound model.
        ConfigError: a setting cannot be met.
        UsageError: the address cannot be listened on.
    """
    with listen(settings.host, settings.port) as listening:
        predictor = Predictor(run, device=device, precision=precision, engine=engine)
        settings = replace(settings, port=listening.getsockname()[1])
        service = Service(predictor, settings)
        corrections = settings.corrections and Corrections(settings.corrections, predictor, settings.max_pixels)
        told = about(service, RunFolder(run).best if run.is_dir() else run)
        app = make_app(service, told, corrections or None)
        say(f"{told.network}, {len(told.classes)} classes, {told.engine}, {told.precision}; Ctrl-C stops")
        address = f"http://{_shown(settings.host)}:{settings.port}/"
        server = _Server(service, _config(app, settings), when_it_answers=lambda: say(address))
        _leave_signals_to(server)
        server.run(sockets=[listening])
    _ignore_signals()


def listen(host: str, port: int) -> socket.socket:
    """Open the socket, so that an address that cannot be had is told before the model is loaded.

    Raises:
        UsageError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio sets TCP_NODELAY where TCP is named
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; give another --port or --host"
        ) from None
    return opened


def about(service: Service, bundle: Path) -> About:
    """Tell what is served."""
    predictor, settings = service.predictor, service.settings
    preprocess = predictor.preprocess
    return About(
        network=predictor.network_name,
        classes=list(predictor.classes),
        digest=digest_file(bundle),
        version=__version__,
        engine=service.engine,
        precision=predictor.precision,
        image_size=preprocess.size,
        seen=0 if preprocess.squash else preprocess.size / preprocess.resize,
        threshold=settings.threshold,
        topk=settings.topk,
        corrections=settings.corrections is not None,
        limits=Limits(
            body_bytes=settings.max_body,
            pixels=settings.max_pixels,
            pictures=settings.max_pictures,
            seconds=settings.timeout,
        ),
    )


class _Server(uvicorn.Server):
    """Tells when it answers; refuses new pictures as soon as it is asked to stop."""

    def __init__(self, service: Service, config: uvicorn.Config, *, when_it_answers: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._when_it_answers = when_it_answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; whoever reads the address before that would be refused the connection."""
        await super().startup(sockets)
        if self.started:
            self._when_it_answers()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C does not wait."""
        self._service.is_stopping = True
        super().handle_exit(sig, frame)


def _leave_signals_to(server: _Server) -> None:
    """Have a stop that was asked for end the command as done.

    Uvicorn raises the signals that it met again when it has stopped, for who handled them before it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))


def _ignore_signals() -> None:
    """All is answered: another signal must not change how the process ends.

    Python puts the system's own handling back while it ends, which for these is to die, but leaves what is ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",  # its heads are limited to 64 KB; httptools, though faster, takes any
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.timeout) + 1,
    )


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
