"""The pictures in a request: raw bytes, or the parts of a form."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from frostline.columns import printable
from frostline.serve.refusals import Refusal

RAW = ("", "application/octet-stream")
"""Types of a body that is one picture, beside image/*; what it is its bytes tell."""
FORM = "multipart/form-data"
LONGEST_NAME, LONGEST_FIELD, MOST_HEADER = 255, 1000, 4096
MOST_FIELDS, MOST_HEADERS = 16, 16
"""Fields of a form that are no pictures, and headers of a part of it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture as it came."""

    name: str
    """What its sender calls it; shown, and never used as a path."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """What a request holds."""

    uploads: list[Upload]
    fields: dict[str, str]


def read_form(content_type: str, body: bytes, most: int) -> Form:
    """Take the pictures out of a body.

    Args:
        content_type: the request's header; "" where it has none.
        body: whole.
        most: pictures allowed.

    Raises:
        Refusal: 400 malformed, 413 too many pictures, 415 another type, 422 no picture.
    """
    kind, options = parse_options_header(content_type)
    name = kind.decode("latin-1").lower()
    if name == FORM:
        form = _read_parts(options.get(b"boundary", b""), body, most)
    elif name in RAW or name.startswith("image/"):
        form = Form([Upload("", body)] if body else [], {})
    else:
        raise Refusal(415, f"the body is {printable(name)[:100]}; send {FORM}, or one picture as image/* or {RAW[1]}")
    if not form.uploads:
        raise Refusal(422, "there is no picture in the request; send one as a file of the form, or as the body")
    return form


@dataclass(slots=True)
class _Part:
    """A part of a form while it is read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)

    def options(self) -> dict[bytes, bytes]:
        return parse_options_header(self.headers.get(b"content-disposition", b""))[1]


class _Reader:
    """Collects the parts of a form, in memory, as the parser calls."""

    def __init__(self, most: int) -> None:
        self.form, self._most, self.is_whole = Form([], {}), most, False
        self._part, self._name, self._value, self._fields, self._headers = _Part(), b"", b"", 0, 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._part, self._headers = _Part(), 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name = _joined(self._name, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value = _joined(self._value, data[start:end])

    def _header_end(self) -> None:
        self._headers += 1
        if self._headers > MOST_HEADERS:
            raise Refusal(400, f"a part of the form has more than {MOST_HEADERS} headers")
        self._part.headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._part.content += memoryview(data)[start:end]

    def _end_part(self) -> None:
        options = self._part.options()
        if b"filename" not in options:
            self._keep_field(options.get(b"name", b""))
            return
        if len(self.form.uploads) == self._most:
            raise Refusal(413, f"the request has more than {self._most} pictures; send them in several requests")
        self.form.uploads.append(Upload(_shown(options[b"filename"]), bytes(self._part.content)))

    def _keep_field(self, name: bytes) -> None:
        self._fields += 1
        if max(len(self._part.content), len(name)) > LONGEST_FIELD or self._fields > MOST_FIELDS:
            raise Refusal(413, f"a field of the form is longer than {LONGEST_FIELD} bytes, or more than {MOST_FIELDS}")
        self.form.fields[_text(name)] = _text(bytes(self._part.content))

    def _end(self) -> None:
        self.is_whole = True


def _read_parts(boundary: bytes, body: bytes, most: int) -> Form:
    reader = _Reader(most)
    calls: Any = reader.callbacks()
    try:
        parser = MultipartParser(boundary, calls)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise _malformed() from error
    if not reader.is_whole:
        raise _malformed()
    return reader.form


def _malformed() -> Refusal:
    return Refusal(400, f"the form is malformed or cut short; send {FORM} with its boundary, as curl -F does")


def _joined(first: bytes, second: bytes) -> bytes:
    if len(first) + len(second) > MOST_HEADER:
        raise Refusal(400, f"a header of a part of the form is longer than {MOST_HEADER} bytes")
    return first + second


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _shown(name: bytes) -> str:
    return printable(_text(name))[:LONGEST_NAME]
