"""How much a server takes on at once: room for bodies in memory and for pictures in the queue."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from frostline.serve.refusals import Refusal, come_back


class Room:
    """So much of something at once; used by the event loop's thread alone.

    Args:
        most: of it.
        what: it is, in words, for who comes when it is full.
        delay: gives the seconds until there may be some again.
    """

    def __init__(self, most: int, what: str, delay: Callable[[], float]) -> None:
        self.most, self.taken = most, 0
        self._what, self._delay = what, delay

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Take some while the block runs.

        Raises:
            Refusal: 429, there is not enough left.
        """
        if self.taken + amount > self.most:
            raise come_back(429, f"too busy: {self._what}; try again after Retry-After seconds", self._delay())
        self.taken += amount
        try:
            yield
        finally:
            self.taken -= amount


def promised_length(header: str | None, most: int) -> int:
    """Bytes to make room for, by a request's Content-Length; without one as many as are allowed.

    Raises:
        Refusal: 413, more than are allowed.
    """
    if header is None or not header.isdigit():
        return most
    if int(header) > most:
        raise _too_long(most)
    return int(header)


async def read_body(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Read a whole body.

    Raises:
        Refusal: 413, it is longer than allowed, whatever it promised.
    """
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > most:
            raise _too_long(most)
    return bytes(content)


@asynccontextmanager
async def until(moment: float, status: int, message: str) -> AsyncIterator[None]:
    """Give up what the block does at a moment of the event loop's clock.

    Raises:
        Refusal: of that status.
    """
    try:
        async with asyncio.timeout_at(moment):
            yield
    except TimeoutError:
        raise Refusal(status, message) from None


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"the request is longer than {most:,} bytes; send fewer or smaller pictures")
