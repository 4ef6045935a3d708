"""How much a server takes on at once: room for bodies in memory and for pictures in the queue."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from frostline.serve.refusals import Refusal, come_back

Take = Callable[[int], None]
"""Takes so much more of a room."""


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
    def take(self, amount: int = 0) -> Iterator[Take]:
        """Take some, and whatever the block takes beside it, while the block runs.

        Raises:
            Refusal: 429, there is not enough left.
        """
        held = 0

        def more(amount: int) -> None:
            nonlocal held
            if self.taken + amount > self.most:
                raise come_back(429, f"too busy: {self._what}; try again after Retry-After seconds", self._delay())
            self.taken += amount
            held += amount

        try:
            more(amount)
            yield more
        finally:
            self.taken -= held


def check_length(header: str | None, most: int) -> None:
    """Check what a request's Content-Length promises, if it has one.

    Raises:
        Refusal: 413, more than is allowed.
    """
    if header is not None and header.isdigit() and int(header) > most:
        raise _too_long(most)


async def read_body(chunks: AsyncIterator[bytes], most: int, take: Take) -> bytes:
    """Read a whole body.

    Args:
        chunks: of it, as they arrive.
        most: bytes allowed.
        take: makes room for each chunk, so that what is only promised keeps nobody else out.

    Raises:
        Refusal: 413, it is longer than allowed, whatever it promised; 429, there is no room left.
    """
    content = bytearray()
    async for chunk in chunks:
        if len(content) + len(chunk) > most:
            raise _too_long(most)
        take(len(chunk))
        content += chunk
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
