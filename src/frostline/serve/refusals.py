"""What a request is answered when it gets no prediction: a status and one line, never a trace or a path."""

from frostline.errors import DecodeError, RefusedError, TooLargeError


class Refusal(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        message: one line: what was wrong, what is allowed, what to do.
        headers: such as Retry-After.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def come_back(status: int, message: str, seconds: float) -> Refusal:
    """Refuse for now, and say when to try again."""
    return Refusal(status, message, {"Retry-After": str(max(1, min(60, round(seconds))))})


def status_of(error: DecodeError) -> int:
    """The status for a request whose only picture this is: 413 too large, 415 not a picture we take, 422 damaged."""
    if isinstance(error, TooLargeError):
        return 413
    return 415 if isinstance(error, RefusedError) else 422
