"""Who may ask: names and origins against foreign pages, an optional key, and headers that keep the page to itself."""

from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frostline.serve.refusals import Refusal
from frostline.serve.replies import problem
from frostline.serve.settings import Settings

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
GUARDED = ("/v1/", "/metrics", "/openapi.json")
"""Paths for which a key is asked; the page and its words hold nothing of the model."""


class Guard:
    """Checks a request before anything of its body is read.

    Args:
        app: what is guarded.
        settings: names and key.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            await problem(refusal)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, path: str, headers: Headers) -> None:
        """Check names, origin and key.

        Raises:
            Refusal: 403 or 401.
        """
        host, origin, names = headers.get("host", ""), headers.get("origin"), self._settings.names
        if names and host_name(host) not in names:
            raise Refusal(403, "asked under a name that is not served; start the server with --allowed-host NAME")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refusal(403, "asked by a page of another site, which is not allowed")
        if self._settings.api_key and path.startswith(GUARDED) and not self._has_key(headers):
            message = "the API key is missing or wrong; send it as Authorization: Bearer KEY"
            raise Refusal(401, message, {"WWW-Authenticate": "Bearer"})

    def _has_key(self, headers: Headers) -> bool:
        kind, _, key = headers.get("authorization", "").partition(" ")
        is_same = compare_digest(key.strip().encode(), self._settings.api_key.encode())
        return is_same and kind.lower() == "bearer"


def host_name(host: str) -> str:
    """A Host header without its port, in lower case; [::1]:80 gives ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
