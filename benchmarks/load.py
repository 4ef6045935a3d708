"""Load for a server over plain sockets: as little work as can be, for it shares the cores with what it measures.

    python benchmarks/load.py URL FOLDER closed CLIENTS SECONDS
    python benchmarks/load.py URL FOLDER open RATE SECONDS

`closed` keeps so many clients asking, each as soon as it is answered; `open` begins so many requests a second, whether
earlier ones are answered or not. Each request is a form with one picture of the folder, in turn. Prints JSON: requests
answered, statuses, seconds of each (median, p99), and the first answer to each picture with how many differed from it.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BOUNDARY = "frostline-load"
CONNECTIONS = 256
"""Most that are open at once."""


@dataclass
class Tally:
    """What came back."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    answers: dict[str, bytes] = field(default_factory=dict)
    different: int = 0

    def note(self, name: str, status: str, answer: bytes, seconds: float) -> None:
        """Add an answer."""
        self.statuses[status] += 1
        if status == "200":
            self.seconds.append(seconds)
            self.different += self.answers.setdefault(name, answer) != answer

    def told(self, elapsed: float) -> dict[str, Any]:
        """Sum up."""
        ordered = sorted(self.seconds)
        return {
            "answered": len(ordered),
            "per_second": len(ordered) / elapsed,
            "p50_ms": 1000 * ordered[len(ordered) // 2] if ordered else None,
            "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else None,
            "statuses": dict(self.statuses),
            "different": self.different,
            "answers": {name: answer.decode() for name, answer in self.answers.items()},
        }


class Clients:
    """Connections to a server, kept open."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path or "/"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self._requests = itertools.cycle([(file.name, self._request(file)) for file in files])
        self._idle: list[Connection] = []
        self.tally = Tally()

    def _request(self, file: Path) -> bytes:
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="pictures"; filename="{file.name}"\r\n'
        body = (
            f"{part}Content-Type: image/jpeg\r\n\r\n".encode() + file.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
        )
        head = f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + body

    async def ask(self) -> None:
        """Send the next picture and note what comes back."""
        name, request = next(self._requests)
        start = time.perf_counter()
        while self._idle:
            try:
                status, answer = await self._ask_by(self._idle.pop(), request)
                break
            except (asyncio.IncompleteReadError, ConnectionError):  # idle for so long that the server closed it
                continue
        else:
            status, answer = await self._ask_by(await asyncio.open_connection(self._host, self._port), request)
        self.tally.note(name, status, answer, time.perf_counter() - start)

    async def _ask_by(self, connection: Connection, request: bytes) -> tuple[str, bytes]:
        """Send a request and read status and body; the connection is kept."""
        reader, writer = connection
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
        answer = await reader.readexactly(length)
        self._idle.append(connection)
        return head.split(" ", 2)[1], answer


async def closed(clients: Clients, count: int, seconds: float) -> None:
    """Keep so many asking."""
    end = time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < end:
            await clients.ask()

    await asyncio.gather(*(one() for _ in range(count)))


async def opened(clients: Clients, rate: float, seconds: float) -> None:
    """Begin so many a second."""
    start, room = time.perf_counter(), asyncio.Semaphore(CONNECTIONS)

    async def one() -> None:
        async with room:
            await clients.ask()

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            tasks.create_task(one())


def main() -> None:
    """Ask, and print what came of it."""
    url, folder, kind, amount, seconds = sys.argv[1:]
    clients, start = Clients(url, Path(folder)), time.perf_counter()
    asyncio.run(
        closed(clients, int(amount), float(seconds))
        if kind == "closed"
        else opened(clients, float(amount), float(seconds))
    )
    print(json.dumps(clients.tally.told(time.perf_counter() - start)))


if __name__ == "__main__":
    main()
