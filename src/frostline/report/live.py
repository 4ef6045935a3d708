"""The report while it grows: a page on this computer alone that shows a training as it goes.

Its sections are the report's own; those that need a finished model are not there yet.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from frostline.plan.stages import Stage
from frostline.plan.timeleft import TimeLeft
from frostline.report.charts import curve_chart
from frostline.report.html import render
from frostline.report.words import Words
from frostline.training.history import EpochRow, History
from frostline.version import __version__

HOST = "127.0.0.1"
EVERY = 2
"""Seconds after which the page asks again."""


class Live(Protocol):
    """Somewhere to watch a training."""

    def show(self, history: History, left: TimeLeft) -> None:
        """Show the epochs so far, and what the stages are priced at."""

    def end_with(self, report: Path) -> None:
        """Show the finished report."""


class NoPage:
    """Nowhere: nobody asked for a page."""

    def show(self, history: History, left: TimeLeft) -> None:
        """Show nothing."""

    def end_with(self, report: Path) -> None:
        """Show nothing."""


class LivePage:
    """A page and the server that gives it, to this computer alone."""

    def __init__(self, name: str, plan: Sequence[Stage], words: Words, given: Mapping[str, Any]) -> None:
        self._name, self._plan, self._words, self._given = name, plan, words, given
        self._start = time.monotonic()
        self.content = b""
        self.show(History(), TimeLeft())
        self._server = ThreadingHTTPServer((HOST, 0), _handler_of(self))
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def show(self, history: History, left: TimeLeft) -> None:
        """Draw the epochs so far, and what the stages are priced at."""
        from markupsafe import Markup

        rows, words = history.epochs, self._words
        epochs = sum(stage.epochs for stage in self._plan)
        charts = {what: Markup(curve_chart(rows, what, words)) for what in ("accuracy", "loss")} if rows else {}
        best = rows[history.best] if history.best is not None else None
        lead = [words("best_so_far", accuracy=best.val_accuracy, epoch=best.epoch)] if best else []
        headline = words("training_now", epoch=rows[-1].epoch, epochs=epochs) if rows else words("preparing")
        context = {"words": words, "version": __version__, "name": self._name, "every": EVERY, "headline": headline}
        context |= {"lead": lead, "charts": charts, "best_epoch": best.epoch if best else 0, **self._given}
        context |= {"plan": [_told(stage, rows, left) for stage in self._plan]}
        context["total_seconds"] = time.monotonic() - self._start
        self.content = render("live.html", context).encode()

    def end_with(self, report: Path) -> None:
        """Give the finished report instead, for long enough that an open page has asked again."""
        self.content = report.read_bytes()
        time.sleep(EVERY + 1)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _told(stage: Stage, rows: Sequence[EpochRow], left: TimeLeft) -> dict[str, Any]:
    """A stage, its price and what its epochs took so far."""
    price = left.prices.get(stage.number)
    took = [row.seconds for row in rows if row.stage == stage.number + 1]
    return {
        "stage": stage.number + 1,
        "part": stage.part,
        "epochs": stage.epochs,
        "lr": stage.lr,
        "size": stage.size,
        "frost_line": stage.cut.name,
        "priced_seconds": price.seconds if price else None,
        "seconds": sum(took) if took else None,
    }


def _handler_of(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Give the page, to a browser that asked for this computer by its own name."""
            host = (self.headers.get("Host") or "").partition(":")[0]
            if host not in {HOST, "localhost"} or self.path != "/":
                self.send_error(404)
                return
            content = page.content
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing in the terminal."""

    return Handler


@contextmanager
def open_live(
    name: str, plan: Sequence[Stage], words: Words, given: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[Live]:
    """Serve a page for as long as the block runs, and say where.

    Args:
        name: of the run.
        plan: its stages.
        words: of the page.
        given: what `frostline.report.given` tells of the run.
        say: takes a line.
    """
    page = LivePage(name, plan, words, given)
    try:
        say(f"live at {page.url}")
        yield page
    finally:
        page.close()
