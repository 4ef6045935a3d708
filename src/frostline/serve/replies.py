"""Refusals and models as responses."""

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from frostline.serve.refusals import Refusal


def problem(refusal: Refusal) -> Response:
    """One line in JSON, with the status."""
    return JSONResponse({"error": refusal.message}, refusal.status, refusal.headers)


def reply(told: BaseModel) -> Response:
    """An answer in JSON."""
    return Response(told.model_dump_json(by_alias=True), media_type="application/json")
