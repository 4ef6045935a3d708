"""Counts and times every request."""

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frostline.serve.metrics import Metrics

OTHER = "other"
"""Stands for every path that does not exist: there may be any number of them."""


class Measured:
    """Tells metrics of each request.

    Args:
        app: what is measured.
        metrics: that are told.
        paths: by which requests are told apart.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else OTHER
        start = perf_counter()

        async def noting_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, noting_status)
        self._metrics.seconds.labels(path).observe(perf_counter() - start)
