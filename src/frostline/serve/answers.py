"""The shapes of what a server answers; the OpenAPI document is made from them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Likely(BaseModel):
    """A class with its probability."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="class")
    probability: float = Field(ge=0, le=1, description="calibrated, where the run had pictures to calibrate on")


class Picture(BaseModel):
    """What the model says about one picture."""

    name: str = Field(description="as the sender calls it")
    top: list[Likely] = Field(description="most probable first; empty where the picture could not be read")
    unsure: bool = Field(description="whether the first class is less probable than the threshold")
    error: str = Field(description="why the picture could not be read; else empty")
    heat_map: str | None = Field(description="data URL of a PNG, light over what the network saw; where asked for")


class Answer(BaseModel):
    """What the model says about the pictures of a request, in their order."""

    pictures: list[Picture]


class Problem(BaseModel):
    """Why a request was not served, in one line."""

    error: str


class Limits(BaseModel):
    """What a request may hold."""

    body_bytes: int
    pixels: int
    pictures: int
    seconds: float


class About(BaseModel):
    """The model that is served."""

    network: str
    classes: list[str]
    digest: str = Field(description="BLAKE3 of the bundle")
    version: str = Field(description="of frostline")
    engine: str
    precision: str
    image_size: int
    seen: float = Field(description="side of the centred square that the network sees, over the shorter side; 0: all")
    threshold: float
    topk: int
    corrections: bool = Field(description="whether pictures with corrected classes are taken")
    limits: Limits


class Kept(BaseModel):
    """A correction that was saved."""

    digest: str = Field(description="BLAKE3 of the picture, which names its file")


class State(BaseModel):
    """Whether the server is well."""

    status: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the answers other than 200, for the OpenAPI document."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}


MEANINGS = {
    400: "The form is malformed.",
    401: "The API key is missing or wrong.",
    403: "Asked under a name, or from a page, that is not allowed.",
    408: "The request took too long to arrive.",
    413: "Too many bytes, pixels or pictures.",
    415: "Not a picture in an allowed format, or a body of another type.",
    422: "The picture is damaged, there is none, or a parameter is out of range.",
    429: "Too busy; Retry-After says when to come back.",
    503: "Stopping; Retry-After says when to come back.",
    504: "The answer took too long.",
    507: "The folder of corrections is full.",
}
