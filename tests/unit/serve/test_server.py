import socket

import pytest

from frostline.errors import UsageError
from frostline.serve.server import listen


def test_answers_are_sent_at_once():
    """Asyncio turns Nagle's algorithm off for sockets that name TCP alone; with it, each answer takes 40 ms more."""
    with listen("127.0.0.1", 0) as opened:
        assert opened.proto == socket.IPPROTO_TCP


def test_an_address_that_cannot_be_had_is_named():
    with listen("127.0.0.1", 0) as opened:
        opened.listen()
        port = opened.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}: .* give another --port or --host"):
            listen("127.0.0.1", port)
