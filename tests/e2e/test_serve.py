"""`frostline serve` as a process: started, asked over a socket, harassed, stopped."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "serve"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from encoding import encoded
from pictures import cases

import frostline
from bundles import write
from frostline.predictor import Predictor

pytestmark = pytest.mark.slow
PREDICTED = 'frostline_requests_total{path="/v1/predict"'
MOST_GROWTH = 150e6
"""Bytes that the process may grow by while it is sent bad pictures."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write(tmp_path_factory.mktemp("model") / "model.safetensors", temperature=1e11)


class Started:
    """A server in a process of its own."""

    def __init__(self, bundle, *flags):
        command = [
            sys.executable,
            "-m",
            "frostline",
            "serve",
            str(bundle),
            "--port",
            "0",
            "--precision",
            "fp32",
            *flags,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told = [self.process.stdout.readline() for _ in range(2)]
        self.url = self.told[-1].strip()
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def ask(self, content, **query):
        return self.client.post("v1/predict", files={"pictures": ("x", content)}, params=query)

    def metric(self, name):
        lines = self.client.get("metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    def begun(self, pictures):
        """Count the requests for predictions, of so many pictures each, that have come: answered or waiting."""
        lines = self.client.get("metrics").text.splitlines()
        told = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
        answered = sum(value for name, value in told.items() if name.startswith(PREDICTED))
        return answered + told["frostline_waiting_pictures"] / pictures

    def stop(self, number=signal.SIGTERM):
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def start(bundle):
    started = []

    def begin(*flags):
        started.append(Started(bundle, *flags))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_answers_equal_those_given_offline(start, bundle, tmp_path, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    files = []
    for seed in range(12):
        files.append(tmp_path / f"{seed}.png")
        files[-1].write_bytes(encoded(seed, size=(60 + seed, 50)))
    predictor = Predictor(bundle, precision="fp32", engine=engine)
    offline = [predictor.predict(file, workers=0)[0] for file in files]
    server = start("--engine", engine)
    form = [("pictures", (file.name, file.read_bytes())) for file in files]
    answered = server.client.post("v1/predict", files=form).json()["pictures"]
    exact = engine == "openvino"
    for one, expected in zip(answered, offline, strict=True):
        got = {likely["class"]: likely["probability"] for likely in one["top"]}
        assert got == (dict(expected.top) if exact else pytest.approx(dict(expected.top), rel=1e-4))


def test_what_is_only_promised_keeps_nobody_out(start):
    server = start("--engine", "torch")
    host, port = server.client.base_url.host, server.client.base_url.port
    promise = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19000000\r\n\r\n"
    idle = [socket.create_connection((host, port)) for _ in range(20)]
    try:
        for connection in idle:
            connection.sendall(promise)
        assert server.ask(encoded()).status_code == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_begun_and_ends_well(start, number):
    server = start("--engine", "torch")
    statuses = []

    def ask(seed):
        form = [("pictures", (f"{n}", encoded(seed, size=(900, 900)))) for n in range(8)]
        statuses.append(httpx.post(f"{server.url}v1/predict", files=form, timeout=60).status_code)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while server.begun(8) < len(threads):
        time.sleep(0.01)
    server.process.send_signal(number)
    for thread in threads:
        thread.join()
    code, _, err = server.stop()
    assert (code, err) == (0, "")
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_a_stop_that_is_asked_for_until_it_is_done_ends_well(start):
    """Python gives signals back to the system while it ends; a last one then must not kill the process."""
    server = start("--engine", "torch")
    server.ask(encoded())
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.002)
    assert server.stop()[0] == 0


def test_bad_pictures_do_no_harm(start):
    """Each answer is one of the promised ones; the process lives, grows no file handle and hardly any memory."""
    server = start("--engine", "torch")
    for _ in range(3):
        server.ask(encoded())
    before, handles = server.metric("process_resident_memory_bytes"), server.metric("process_open_fds")
    bad = cases()
    assert len(bad) > 100
    statuses = {case.name: server.ask(case.content).status_code for case in bad}
    assert {name: status for name, status in statuses.items() if status not in {200, 413, 415, 422}} == {}
    wrong = [case.name for case in bad if case.outcomes == ("used",) and statuses[case.name] != 200]
    wrong += [case.name for case in bad if case.outcomes == ("skipped",) and statuses[case.name] == 200]
    assert wrong == []
    assert server.ask(encoded()).status_code == 200
    assert server.metric("process_resident_memory_bytes") - before < MOST_GROWTH
    assert server.metric("process_open_fds") <= handles + 2
    code, _, err = server.stop()  # libtiff complains there by itself
    assert code == 0
    assert "Traceback" not in err


def test_a_broken_request_is_answered_or_dropped_and_the_next_served(start):
    server = start("--engine", "torch", "--timeout", "1")
    host, port = "127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])
    half = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\nab"
    endless = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000
    for sent, said in ((b"junk\r\n\r\n", b"400"), (endless, b"400"), (half, b"408")):
        with socket.create_connection((host, port), timeout=10) as opened:
            opened.sendall(sent)
            assert said in opened.recv(1000).split(b"\r\n")[0]
    with socket.create_connection((host, port)) as opened:
        opened.sendall(half)
    assert server.ask(encoded()).status_code == 200
    code, _, err = server.stop()
    assert code == 0
    assert "Traceback" not in err


def test_an_address_in_use_is_one_line(start, bundle):
    server = start("--engine", "torch")
    port = server.url.rstrip("/").rpartition(":")[2]
    command = [sys.executable, "-m", "frostline", "serve", str(bundle), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"frostline: cannot listen on 127.0.0.1:{port}: Address already in use; give another --port or --host\n"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--queue", "3"], "--queue 3 is less than --max-pictures 64"),
        (["--max-body", "big"], "size 'big' is not understood"),
        (["--api-key-file", "none"], "--api-key-file none cannot be read"),
    ],
)
def test_wrong_use_is_one_line(bundle, flags, said):
    command = [sys.executable, "-m", "frostline", "serve", str(bundle), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "300"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_corrections_can_be_trained_on(start, tmp_path):
    """What was saved is a folder of class folders."""
    server = start("--engine", "torch", "--corrections", str(tmp_path / "kept"))
    for seed in range(24):
        form = {"class": ("ants", "z")[seed % 2]}
        got = server.client.post("v1/corrections", files={"picture": ("x", encoded(seed))}, data=form)
        assert got.status_code == 200
    settings = {"model": "resnet18", "weights": "none", "width": 0.125, "image_size": 32, "stages": "head:1"}
    run = frostline.train(tmp_path / "kept", **settings, out=tmp_path / "run")
    assert run.metrics["classes"] == ["ants", "z"]
    assert run.metrics["counts"]["skipped"] == 0


def test_the_description_is_kept(start, tmp_path):
    """Schemathesis asks as the OpenAPI document says, and otherwise."""
    pytest.importorskip("schemathesis")
    server = start("--engine", "torch", "--corrections", str(tmp_path / "kept"))
    # any bytes are described as a picture, and most are none
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", f"{server.url}openapi.json", "--seed", "1"]
    command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "frostline_requests" in server.client.get("metrics").text
    assert server.ask(encoded()).status_code == 200
