"""The routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from frostline.serve.answers import About, Answer, Kept, State, problems
from frostline.serve.batcher import NetworkFailed
from frostline.serve.corrections import Corrections
from frostline.serve.limits import Take, check_length, read_body, until
from frostline.serve.measured import Measured
from frostline.serve.refusals import Refusal, come_back
from frostline.serve.replies import problem, reply
from frostline.serve.security import Guard
from frostline.serve.service import Service
from frostline.serve.settings import Settings
from frostline.serve.uploads import Form, read_form
from frostline.version import __version__

FILES = Path(__file__).parent / "page"
PAGE = {
    "/": "page.html",
    **{f"/{name}": name for name in ("page.css", "page.js", "api.js", "cards.js", "table.js", "words.js", "icon.svg")},
}
_PICTURE: dict[str, Any] = {"type": "string", "format": "binary"}


def make_app(service: Service, about: About, corrections: Corrections | None) -> FastAPI:
    """Put a service behind HTTP.

    Args:
        service: the model at work; closed when the app ends.
        about: what is told of the model.
        corrections: where corrected pictures go; None: they are not taken.
    """
    app = FastAPI(
        title="frostline", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan(service)
    )  # the pages that FastAPI would add fetch scripts from elsewhere
    _handle_problems(app)
    _add_watching(app, service)
    _add_page(app)
    _add_model(app, service, about)
    if corrections is not None:
        _add_corrections(app, service, corrections)
    paths = frozenset(getattr(route, "path", "") for route in app.routes)
    app.add_middleware(Guard, settings=service.settings)
    app.add_middleware(Measured, metrics=service.metrics, paths=paths)
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    return lifespan


def _handle_problems(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem(Refusal(422, f"{first['loc'][-1]}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        return problem(Refusal(error.status_code, str(error.detail), dict(error.headers or {})))

    @app.exception_handler(NetworkFailed)
    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return problem(Refusal(500, "the server failed; what happened stands in its log"))


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=State, responses=problems(503), summary="Is the process well?")
    async def healthz() -> Response:
        if not service.batcher.is_alive:
            raise come_back(503, "the thread that computes has ended; start the server again", 30)
        return reply(State(status="alive"))

    @app.get("/readyz", response_model=State, responses=problems(503), summary="Would it answer now?")
    async def readyz() -> Response:
        if not service.is_ready:
            raise come_back(503, "not ready: the server is stopping", 5)
        return reply(State(status="ready"))

    @app.get("/metrics", response_class=PlainTextResponse, responses=problems(401), summary="For Prometheus.")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_page(app: FastAPI) -> None:
    for path, name in PAGE.items():
        app.add_api_route(path, _giving(FILES / name), include_in_schema=False)


def _giving(file: Path) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return FileResponse(file)

    return give


def _add_model(app: FastAPI, service: Service, about: About) -> None:
    settings = service.settings

    @app.get("/v1/model", response_model=About, responses=problems(401, 403), summary="What is served.")
    async def model() -> Response:
        return reply(about)

    @app.post(
        "/v1/predict",
        response_model=Answer,
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
        openapi_extra=_body(
            {
                "pictures": {
                    "type": "array",
                    "items": _PICTURE,
                    "minItems": 1,
                    "description": f"at most {settings.max_pictures}",
                }
            },
            "pictures",
        ),
        summary="Name what is in pictures.",
    )
    async def predict(
        request: Request,
        topk: Annotated[int, Query(ge=1, le=1000, description="classes to give")] = settings.topk,
        heat_map: Annotated[bool, Query(description="draw what spoke for the most probable class")] = False,
    ) -> Response:
        return await _with_form(service, request, lambda form: _answered(service.answer(form.uploads, topk, heat_map)))


def _add_corrections(app: FastAPI, service: Service, corrections: Corrections) -> None:
    classes = list(service.predictor.classes)

    @app.post(
        "/v1/corrections",
        response_model=Kept,
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503, 504, 507),
        openapi_extra=_body({"picture": _PICTURE, "class": {"enum": classes}}, "picture", "class"),
        summary="Save a picture with its right class.",
    )
    async def correct(request: Request) -> Response:
        async def keep(form: Form) -> Response:
            first, name = form.uploads[0], form.fields.get("class", "")
            return reply(Kept(digest=await service.in_thread(lambda: corrections.keep(first.content, name))))

        return await _with_form(service, request, keep)


async def _answered(answer: Awaitable[Answer]) -> Response:
    return reply(await answer)


async def _with_form(service: Service, request: Request, use: Callable[[Form], Awaitable[Response]]) -> Response:
    """Read a request's pictures and use them, within the limits of size and time.

    Raises:
        Refusal: as the limits say.
    """
    settings = service.settings
    end = asyncio.get_running_loop().time() + settings.timeout
    with service.bodies.take() as take:
        async with until(end, 408, f"the request took longer than {settings.timeout:g} s to arrive; send less at once"):
            form = await _form(request, settings, take)
        async with until(end, 504, f"no answer within {settings.timeout:g} s; send fewer pictures, or try later"):
            return await use(form)


async def _form(request: Request, settings: Settings, take: Take) -> Form:
    """Read a request's body and take it apart."""
    check_length(request.headers.get("content-length"), settings.max_body)
    try:
        body = await read_body(request.stream(), settings.max_body, take)
    except ClientDisconnect:
        raise Refusal(400, "the request ended before its body did; send it again") from None
    return read_form(request.headers.get("content-type", ""), body, settings.max_pictures)


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """Describe the bodies that are taken."""
    form = {"type": "object", "properties": properties, "required": list(required)}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if "pictures" in properties:
        content |= {kind: {"schema": _PICTURE} for kind in ("application/octet-stream", "image/*")}
    return {"requestBody": {"required": True, "content": content}}
