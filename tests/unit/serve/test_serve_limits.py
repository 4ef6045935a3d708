import asyncio
from threading import Event

import pytest
from encoding import encoded

from frostline.serve.limits import Room, check_length, read_body
from frostline.serve.refusals import Refusal
from frostline.serve.uploads import read_form


async def chunks(*parts):
    for part in parts:
        yield part


def test_a_room_takes_what_fits_and_gives_it_back():
    room = Room(3, "full", lambda: 7.4)
    with room.take(2), pytest.raises(Refusal, match="full") as caught, room.take(2):
        pass
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "7"})
    assert room.taken == 0


@pytest.mark.parametrize(("delay", "told"), [(0.0, "1"), (1000.0, "60")])
def test_when_to_come_back_is_sane(delay, told):
    with pytest.raises(Refusal) as caught, Room(0, "full", lambda: delay).take(1):
        pass
    assert caught.value.headers["Retry-After"] == told


def test_a_body_has_a_limit_whatever_it_promises():
    taken = []
    assert asyncio.run(read_body(chunks(b"ab", b"c"), 3, taken.append)) == b"abc"
    with pytest.raises(Refusal) as caught:
        asyncio.run(read_body(chunks(b"ab", b"cd"), 3, taken.append))
    assert caught.value.status == 413
    assert taken == [2, 1, 2]
    for header in (None, "junk", "10"):
        check_length(header, 10)
    with pytest.raises(Refusal, match="longer than 10 bytes"):
        check_length("11", 10)


def test_room_is_taken_as_a_body_arrives():
    room = Room(4, "full", lambda: 1.0)
    with room.take() as take:
        asyncio.run(read_body(chunks(b"ab"), 100, take))
        with pytest.raises(Refusal, match="full"), room.take() as other:
            asyncio.run(read_body(chunks(b"cd", b"e"), 100, other))
        assert room.taken == 2
    assert room.taken == 0


def test_a_long_body_is_refused_unread(serving):
    with serving(max_body=1000) as client:
        got = client.post("/v1/predict", content=b"x" * 1001)
        assert got.status_code == 413
        assert client.service.bodies.taken == 0


def form(*parts, boundary=b"b", end=b"--b--\r\n"):
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


PICTURE = b'Content-Disposition: form-data; name="p"; filename="a.png"\r\n\r\nDATA'


def test_a_form_is_read():
    body = form(PICTURE, b'Content-Disposition: form-data; name="class"\r\n\r\nants')
    got = read_form("multipart/form-data; boundary=b", body, 2)
    assert [(one.name, one.content) for one in got.uploads] == [("a.png", b"DATA")]
    assert got.fields == {"class": "ants"}


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=b", form(PICTURE, end=b""), 400),
        ("multipart/form-data; boundary=b", b"junk", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data", form(PICTURE), 400),
        ("multipart/form-data; boundary=" + "b" * 9999, form(PICTURE), 400),
        ("multipart/form-data; boundary=b", form(PICTURE, PICTURE, PICTURE), 413),
        ("multipart/form-data; boundary=b", form(b"X: " + b"y" * 5000 + b"\r\n\r\n"), 400),
        (
            "multipart/form-data; boundary=b",
            form(b'Content-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 1001),
            413,
        ),
        ("multipart/form-data; boundary=b", form(b'Content-Disposition: form-data; name="a"\r\n\r\nb'), 422),
        ("multipart/form-data; boundary=b", form(*[b'Content-Disposition: form-data; name="a"\r\n\r\nb'] * 17), 413),
        ("multipart/form-data; boundary=b", form(b"X: y\r\n" * 17 + b"\r\nb"), 400),
        ("application/json", b"{}", 415),
        ("image/png", b"", 422),
    ],
)
def test_what_is_no_form_of_pictures_is_refused(kind, body, status):
    with pytest.raises(Refusal) as caught:
        read_form(kind, body, 2)
    assert caught.value.status == status


@pytest.fixture
def held(serving, monkeypatch):
    """A server whose network waits for an event."""
    go = Event()
    with serving(queue=2, max_pictures=2, timeout=0.5) as client:
        compute = client.service.predictor.probabilities

        def wait(*given):
            go.wait()
            yield from compute(*given)

        monkeypatch.setattr(client.service.predictor, "probabilities", wait)
        client.go = go
        yield client
        go.set()


def test_an_answer_that_takes_too_long_is_a_504_and_leaves_no_trace(held):
    got = held.post("/v1/predict", content=encoded())
    assert got.status_code == 504
    assert "no answer within 0.5 s" in got.text
    held.go.set()
    assert held.service.queue.taken == held.service.bodies.taken == held.service.batcher.coming == 0
    assert held.post("/v1/predict", content=encoded()).status_code == 200


def test_a_full_queue_is_a_429(held):
    with held.service.queue.take(2):
        got = held.post("/v1/predict", content=encoded())
    assert got.status_code == 429
    assert int(got.headers["retry-after"]) >= 1
